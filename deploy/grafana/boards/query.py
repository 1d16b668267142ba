"""Words for PromQL: a scope is the whole cluster or one of its nodes, and gives expressions of what is in it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """One line, or several, of a panel."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Scope:
    """Which series count."""

    labels: str

    def of(self, metric: str, where: str = "") -> str:
        """A metric as it is."""
        return f"{metric}{{{', '.join(filter(None, [self.labels, where]))}}}"

    def total(self, metric: str, by: str = "", where: str = "") -> str:
        """The sum of a gauge."""
        return f"sum{_by(by)}({self.of(metric, where)})"

    def rate(self, counter: str, by: str = "", where: str = "") -> str:
        """How much a counter grows per second."""
        return f"sum{_by(by)}(rate({self.of(counter, where)}[$__rate_interval]))"

    def quantile(self, share: float, histogram: str, by: str = "") -> str:
        """What this share of the observations stays below."""
        groups = ", ".join(filter(None, [by, "le"]))
        return f"histogram_quantile({share}, {self.rate(histogram + '_bucket', groups)})"

    def quantiles(self, histogram: str) -> list[Query]:
        """Half, 95 and 99 of a hundred."""
        return [Query(self.quantile(share, histogram), name) for share, name in SHARES]

    def mean(self, histogram: str, by: str = "") -> str:
        """The mean of the observations."""
        return f"{self.rate(histogram + '_sum', by)} / {self.rate(histogram + '_count', by)}"


SHARES = ((0.5, "half within"), (0.95, "95 % within"), (0.99, "99 % within"))
CLUSTER = Scope('job="$job"')
NODE = Scope('job="$job", instance="$instance"')


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""
