"""Several workers: every connection on one of them, whichever worker its packets arrive at."""
import packets as p
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

WORKERS = 3
FLOWS = 60


def test_workers(place):
    router = Router(place, workers=WORKERS)
    for family in (4, 6):
        inside, outside = INSIDE[family], OUTSIDE[family]
        node = f"pfplane-lookup-ip{family}"
        for worker in range(WORKERS):
            ports = range(1000 * (worker + 1), 1000 * (worker + 1) + FLOWS)
            left = router.send("pg0", [p.udp(inside, outside, port, 53) for port in ports], worker=worker)
            if len(left["pg1"]) != FLOWS:
                raise Failure(f"{len(left['pg1'])} of {FLOWS} left: {router.cli('show errors')}")
            # The replies arrive at another worker.
            other = (worker + 1) % WORKERS
            left = router.send("pg1", [p.udp(outside, inside, 53, port) for port in ports], worker=other)
            if len(left["pg0"]) != FLOWS:
                raise Failure(f"{len(left['pg0'])} of {FLOWS} replies left: {router.cli('show errors')}")
        sent = 2 * WORKERS * FLOWS
        created, handed = router.counter(node, "policy passes with a state"), router.counter(node, "handed to another thread")
        if created != WORKERS * FLOWS:
            raise Failure(f"{created} states of IPv{family} created, not {WORKERS * FLOWS}")
        # With three lanes, two of three packets arrive at the wrong worker. More hand-offs than packets would be a loop.
        if not sent // 3 < handed < sent:
            raise Failure(f"{handed} of {sent} packets handed off")
    router.stop()


TESTS = [("three workers: hand-off, both families", test_workers)]
