"""Runs a program and writes its cost as JSON: measure.py LIMIT RESULT OUTPUT PROGRAM ARGUMENT…

The program's standard output goes to the file OUTPUT. CPU and peak memory are the kernel's account of
that one process and the children it waited for (wait4), so no clock of ours runs inside it; the peak is never below
this interpreter's own 10 MB, which the process held before it became the program. After LIMIT seconds, or when this
process ends, the program is killed. SIGUSR1 is passed on to it as SIGINT.
"""

import ctypes
import json
import os
import signal
import sys
import time

limit, result, output, *command = sys.argv[1:]
# Until the program is there to be told.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

stdout = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
timed_out = False
begin = time.monotonic()
pid = os.fork()
if pid == 0:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    os.dup2(stdout, 1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        os._exit(127)


def end(number, frame):
    global timed_out
    timed_out = timed_out or number == signal.SIGALRM
    os.kill(pid, signal.SIGKILL)


for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, end)
signal.signal(signal.SIGUSR1, lambda number, frame: os.kill(pid, signal.SIGINT))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
signal.setitimer(signal.ITIMER_REAL, float(limit))
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - begin
signal.setitimer(signal.ITIMER_REAL, 0)
with open(result, "w", encoding="utf-8") as file:
    json.dump(
        {
            "wallSeconds": wall,
            "cpuSeconds": usage.ru_utime + usage.ru_stime,
            "peakMegabytes": usage.ru_maxrss / 1024,
            "status": os.waitstatus_to_exitcode(status),
            "timedOut": timed_out,
        },
        file,
    )
