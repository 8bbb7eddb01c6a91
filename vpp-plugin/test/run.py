#!/usr/bin/env python3
"""Tests of the VPP plugin on a real VPP. ./x test vpp calls it; as root:

    run.py VPP_PREFIX FOLDER_OF_THE_PLUGIN [NAME...]    NAME: a part of a test's name
"""
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import api, election, faults, hostile, nat, recorded, replication, seal, takeover, verdicts, vrfs, workers
from place import Place
from vpp import Failure

TESTS = [test for module in (verdicts, vrfs, workers, nat, api, replication, recorded, election, seal, faults, hostile, takeover) for test in module.TESTS]


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    wanted = sys.argv[3:]
    passed, failures = 0, []
    place = Place(sys.argv[1], sys.argv[2])
    for name, test in TESTS:
        if wanted and not any(part in name for part in wanted):
            continue
        begin = time.monotonic()
        try:
            test(place)
            passed += 1
            print(f"ok      {name} ({time.monotonic() - begin:.0f} s)", flush=True)
        except Failure as failure:
            failures.append(f"{name}: {failure}")
        except Exception:
            failures.append(f"{name}: {traceback.format_exc()}")
        finally:
            place.clean()
        if failures and name in failures[-1]:
            print(f"FAILED  {failures[-1]}", flush=True)
    if passed + len(failures) == 0:
        raise SystemExit("no test has such a name")
    # The form of cargo test, which ./x reads.
    if failures:
        print("failures:")
        print("\n".join(failures))
        print(f"logs: {place.folder}")
    else:
        place.remove()
    print(f"test result: {'FAILED' if failures else 'ok'}. {passed} passed; {len(failures)} failed;")
    return len(failures) != 0


if __name__ == "__main__":
    sys.exit(main())
