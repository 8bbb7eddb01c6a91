"""Several workers: every connection on one of them, whichever worker its packets arrive at."""
import packets as p
from router import INSIDE, OUTSIDE, Router
from vpp import Failure

WORKERS = 3
FLOWS = 40


def handshakes(router, inside, outside, ports, worker):
    """Opens TCP connections whose three packets arrive at three workers. An answered UDP flow lasts for 30 s only, which is less
    than this test takes on a busy machine."""
    steps = [
        ("pg0", "pg1", [p.tcp(inside, outside, port, 80, p.SYN, 100) for port in ports]),
        ("pg1", "pg0", [p.tcp(outside, inside, 80, port, p.SYN | p.ACK, 500, 101) for port in ports]),
        ("pg0", "pg1", [p.tcp(inside, outside, port, 80, p.ACK, 101, 501) for port in ports]),
    ]
    for number, (port, other, packets) in enumerate(steps):
        left = router.send(port, packets, worker=(worker + number) % WORKERS)
        if len(left[other]) != len(packets):
            raise Failure(f"{len(left[other])} of {len(packets)} left: {router.cli('show errors')}")


def test_workers(place):
    router = Router(place, workers=WORKERS)
    for family in (4, 6):
        node = f"pfplane-lookup-ip{family}"
        for worker in range(WORKERS):
            ports = range(1000 * (worker + 1), 1000 * (worker + 1) + FLOWS)
            handshakes(router, INSIDE[family], OUTSIDE[family], ports, worker)
        sent, wanted = 3 * WORKERS * FLOWS, WORKERS * FLOWS
        created, handed = router.counter(node, "policy passes with a state"), router.counter(node, "handed to another thread")
        if created != wanted:
            raise Failure(f"{created} states of IPv{family} created, not {wanted}")
        # With three lanes, two of three packets arrive at the wrong worker. More hand-offs than packets would be a loop.
        if not sent // 3 < handed < sent:
            raise Failure(f"{handed} of {sent} packets handed off")
    if router.states() != 2 * WORKERS * FLOWS:
        raise Failure(f"{router.states()} states, not {2 * WORKERS * FLOWS}: {router.cli('show pfplane errors')}")
    router.stop()


TESTS = [("three workers: hand-off, both families", test_workers)]
