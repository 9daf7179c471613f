"""Orders of four durable steps, by DBOS: `orders.py DATABASE_URL SECONDS CALLERS`.

Prints one line of JSON: how long all took, and each one's microseconds.
"""

import json
import sys
import threading
import time

from dbos import DBOS

url, seconds, callers = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
DBOS(config={"name": "orders", "system_database_url": url, "log_level": "ERROR"})


@DBOS.step()
def stock():
    return 1


@DBOS.step()
def coupon():
    return 1


@DBOS.step()
def pay():
    return 1


@DBOS.step()
def complete():
    return 1


@DBOS.workflow()
def place():
    return stock() + coupon() + pay() + complete()


DBOS.launch()
for _ in range(20):
    assert place() == 4
latencies = [[] for _ in range(callers)]
until = time.perf_counter() + seconds


def buy(mine):
    while time.perf_counter() < until:
        began = time.perf_counter()
        place()
        mine.append(int((time.perf_counter() - began) * 1e6))


began = time.perf_counter()
threads = [threading.Thread(target=buy, args=(mine,)) for mine in latencies]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
took = int((time.perf_counter() - began) * 1e6)
print(json.dumps({"took_us": took, "latencies_us": sum(latencies, [])}), flush=True)
DBOS.destroy()
