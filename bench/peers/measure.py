"""Runs a program and writes its cost as JSON: measure.py RESULT OUTPUT PROGRAM ARGUMENT…

The program's standard output goes to the file OUTPUT. CPU and peak memory are the kernel's account of
that one process and the children it waited for (wait4), so no clock of ours runs inside it.
"""

import json
import os
import sys
import time

result, output, *command = sys.argv[1:]
stdout = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
begin = time.monotonic()
pid = os.posix_spawnp(
    command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, stdout, 1)]
)
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - begin
with open(result, "w", encoding="utf-8") as file:
    json.dump(
        {
            "wallSeconds": wall,
            "cpuSeconds": usage.ru_utime + usage.ru_stime,
            "peakMegabytes": usage.ru_maxrss / 1024,
            "status": os.waitstatus_to_exitcode(status),
        },
        file,
    )
