"""The arithmetic by hand, and what is said of wrong input."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import constants
import page
import plan
from constants import Constant, Wrong
from plan import Load, compute

HERE = Path(__file__).resolve().parent


def made(**changed: float) -> dict[str, Constant]:
    """Those of the file, some of them others."""
    found = constants.load()
    return found | {key: Constant(value, "", members=found[key].members) for key, value in changed.items()}


class Curves(unittest.TestCase):
    def cpu(self, members: float) -> float:
        return plan.Model(Load(1_000_000, members=members), constants.load()).busy_message_us()

    def test_it_goes_through_what_was_measured(self):
        found = constants.load()
        self.assertAlmostEqual(self.cpu(2), found["busy_message_of_two_us"].value)
        self.assertAlmostEqual(self.cpu(10), found["busy_message_of_ten_us"].value)
        self.assertAlmostEqual(self.cpu(500), 500 * found["busy_delivery_of_many_us"].value)

    def test_beyond_the_last_point_each_delivery_costs_the_same_and_below_the_first_nothing_is_saved(self):
        self.assertAlmostEqual(self.cpu(5000), 10 * self.cpu(500))
        self.assertEqual(self.cpu(1), self.cpu(2))

    def test_it_only_rises(self):
        costs = [self.cpu(members) for members in range(2, 1200)]
        self.assertEqual(costs, sorted(costs))


class Plans(unittest.TestCase):
    def test_traffic_is_what_people_send(self):
        found = compute(Load(50_000, rate=0.02, members=10), made(markers_per_delivery=1))
        self.assertAlmostEqual(found.messages, 1_000)
        self.assertAlmostEqual(found.deliveries, 10_000)
        self.assertAlmostEqual(found.markers, 9_000)

    def test_in_large_conversations_markers_are_not_told(self):
        self.assertEqual(compute(Load(50_000, members=101), made()).markers, 0)

    def test_a_socket_has_its_conversations_and_its_part_of_the_kernel(self):
        found = made(idle_socket_bytes=6000, conversation_bytes=100, kernel_socket_bytes=4000)
        self.assertEqual(plan.Model(Load(1, conversations=15, members=1), found).socket_bytes(), 6000 + 10 * 100 + 4000)

    def test_members_are_on_as_many_nodes_as_chance_puts_them(self):
        model = plan.Model(Load(100, members=2), made())
        self.assertAlmostEqual(model.copies(1), 1)
        self.assertAlmostEqual(model.copies(2), 1.5)
        self.assertAlmostEqual(plan.Model(Load(100, members=90), made()).copies(4), 4, places=3)

    def test_a_gateway_more_than_are_needed_and_three_at_least(self):
        small = compute(Load(100), made(gateway_connections=20_000))
        self.assertEqual((small.gateways, small.gateway_connections), (3, 50))
        large = compute(Load(200_000, rate=0), made(gateway_connections=20_000))
        self.assertEqual((large.gateways, large.gateways_by), (11, "connections"))
        self.assertEqual(large.gateway_connections, 20_000)

    def test_postgresql_has_room_for_twice_the_connections_and_eight_of_each_node(self):
        found = compute(Load(100), made(database_connections=20))
        self.assertEqual((found.gateways, found.apis, found.postgres_max_connections), (3, 2, 5 * 48))

    def test_gateways_are_as_many_as_the_scarcest_thing_asks(self):
        memory = compute(Load(200_000, rate=0), made(gateway_gib=0.1))
        self.assertEqual(memory.gateways_by, "memory")
        cpu = compute(Load(200_000, rate=1), made())
        self.assertEqual(cpu.gateways_by, "CPU")
        self.assertLessEqual(cpu.gateways_cores * 2, cpu.gateways * constants.load()["gateway_cores"].value)

    def test_a_gateway_commits_each_message_alone_or_what_came_during_the_commit_before(self):
        found = made(commit_ms=4)
        self.assertAlmostEqual(plan.Model(Load(1_000), found).turns(rate=60, gateways=3), 60)
        self.assertAlmostEqual(plan.Model(Load(1_000), found).turns(rate=3_000, gateways=3), 3 * 250)
        # Beyond 64 in each, the next lane.
        self.assertAlmostEqual(plan.Model(Load(1_000), found).turns(rate=64_000, gateways=1), 1_000)

    def test_what_was_measured_on_one_gateway_comes_out_of_the_formula(self):
        # 982 messages per second in conversations of ten took 230 µs each, 109 transactions (docs/scaling.md).
        found = made(markers_per_delivery=0, commit_ms=1000 / 109)
        model = plan.Model(Load(98_200), found)
        self.assertAlmostEqual(model.gateways_cores(1) * 1e6 / 982, 230, delta=25)

    def test_what_rises_with_load_never_falls(self):
        before = compute(Load(1_000), made())
        for connections in (5_000, 20_000, 100_000, 500_000, 2_000_000):
            after = compute(Load(connections), made())
            for name in ("gateways", "apis", "redis_copies", "redis_cores", "postgres_cores", "rows_day", "gateways_cores"):
                self.assertGreaterEqual(getattr(after, name), getattr(before, name), (name, connections))
            before = after

    def test_the_limit_is_said_in_words(self):
        self.assertRegex(compute(Load(1_000), made()).limit, r"at \d+% of what one server")
        self.assertRegex(compute(Load(1_000, rate=20), made(redis_copy_us=1e3)).limit, r"thread of Redis: [\d.]+ times")


class Files(unittest.TestCase):
    def test_the_file_is_read_as_others_read_it(self):
        try:
            import tomllib
        except ImportError:
            self.skipTest("tomllib came with Python 3.11")
        tables = tomllib.loads(constants.FILE.read_text(encoding="utf-8"))
        read = {name: {"value": c.value, "what": c.what, "page": c.page, "section": c.section, "members": c.members}
                for name, c in constants.load().items()}
        empty = {"page": "", "section": "", "members": 0}
        self.assertEqual(read, {name: empty | table for name, table in tables.items()})

    def test_a_bad_file_is_told_with_its_line(self):
        for text, said in [
            ("value = 1", "line 1"),
            ("[a]\nvalue = x", "line 2"),
            ('[a]\nvalue = 1\nwhat = "b"\n[a]', "[a] is there twice"),
            ("[a]\nvalue = 1", "[a] takes value"),
            ('[a]\nvalue = "1"\nwhat = "b"', "[a]: value is a number"),
            ('[a]\nvalue = 1\nwhat = "b"\nwhy = "c"', "[a] takes value"),
        ]:
            with self.assertRaises(Wrong) as caught:
                constants.read(text)
            self.assertIn(said, str(caught.exception))

    def test_a_number_that_its_page_does_not_have_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "a.md").write_text("# A\n\n## Speed, today\n\n| x | 5,995 (5–6) |\n\n## Next\n\n1.5\n", encoding="utf-8")

            def drifted(value: float, section: str = "Speed", name: str = "a.md") -> list[str]:
                return constants.drifted({"x": Constant(value, "", name, section)}, root)

            self.assertEqual(drifted(5995), [])
            self.assertEqual(drifted(1.5, "Next"), [])
            for wrong in (drifted(5994), drifted(1.5), drifted(1, "Slowness"), drifted(1, name="b.md")):
                self.assertEqual(len(wrong), 1)
                self.assertIn("[x]", wrong[0])

    def test_a_formula_with_another_number_is_found(self):
        text = page.read()
        self.assertEqual(constants.untold(constants.load(), text), [])
        [said] = constants.untold(constants.load(), text.replace("1/(1.81 ms)", "1/(2.66 ms)"))
        self.assertIn("[commit_ms]", said)

    def test_a_missing_constant_is_told(self):
        found = made()
        del found["resume_us"]
        with self.assertRaisesRegex(Wrong, r"\[resume_us\] is missing"):
            compute(Load(1_000), found)


class Words(unittest.TestCase):
    def test_numbers_are_as_exact_as_they_can_be_meant(self):
        said = {0: "0", 0.05: "0.05", 12.345: "12.3", 999.4: "999", 1234: "1,234", 20_016: "20,016", 1_234_567: "1,230,000"}
        self.assertEqual({number: page.count(number) for number in said}, said)
        self.assertEqual([page.size(n) for n in (2048, 3 << 20, 5 << 30, 2 << 40)], ["2 KiB", "3.0 MiB", "5.0 GiB", "2.0 TiB"])

    def test_plans_go_between_their_markers_and_nowhere_else(self):
        text = "a\n" + "".join(f"<!-- capacity {n} -->\nold\n<!-- end of capacity -->\nb\n" for n in page.SHOWN)
        text += f"<!-- larger gateways {page.SHOWN[-1]} -->\nold\n<!-- end of capacity -->\nb\n"
        once = page.filled(text, made())
        self.assertEqual(page.filled(once, made()), once)
        self.assertTrue(once.startswith("a\n<!-- capacity 10000 -->\n\n10,000 connections") and once.endswith("\nb\n"))
        self.assertNotIn("old", once)
        with self.assertRaisesRegex(Wrong, "between its markers"):
            page.filled("a\n", made())


class Command(unittest.TestCase):
    def run_it(self, *words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-B", str(HERE), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))

    def test_a_plan_is_printed(self):
        ended = self.run_it("100000", "--members", "50")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertIn("50 connected members", ended.stdout)

    def test_wrong_input_is_one_line_and_exit_code_2(self):
        for words in [(), ("many",), ("0",), ("-5",), ("1e6",), ("10", "20"), ("100", "--rate", "x"), ("100", "--rate", "nan"),
                      ("100", "--rate", "21"), ("100", "--headroom", "0"), ("100", "--members", "200"), ("100", "--size", "2"),
                      ("check", "--rate", "1"), ("100", "--conversations", "0")]:
            ended = self.run_it(*words)
            self.assertEqual((ended.returncode, ended.stdout, ended.stderr.count("\n")), (2, "", 1), (words, ended))
            self.assertTrue(ended.stderr.startswith("scripts/capacity: "), ended)
