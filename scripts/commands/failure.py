"""Why a block does not hold."""

from cluster import Failure as Lower


class Failure(Lower):
    """`placed`: it names the page and the line itself."""

    def __init__(self, why: str, placed: bool = False):
        super().__init__(why)
        self.placed = placed
