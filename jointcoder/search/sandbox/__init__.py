"""Runs Python that a model wrote, where it can reach nothing: :func:`run_python`.

    result = run_python(source, inputs={"mentions": [...]}, tools={"get_parent": taxonomy.get_parent})
    result.value or result.fault                                # what run(inputs, tools) returned, or a JC45x

It is off unless a run allows it, and refuses to run (JC450) where the isolation below is not complete;
:func:`available` says whether, and why not. Reading order: ``run``, ``process``, ``jail``, ``seccomp``, ``inside``.

Threat model
------------
The source is hostile: a model can be made to write anything by the text of a note. It is taken to run native code of
its own choice (``ctypes`` is allowed), to know this file, and to have all its inputs. It must not read, change, stop,
impersonate or outlive anything outside, nor send its inputs anywhere but into its result.

What it covers, and by what
---------------------------
- *Files.* An empty root in memory, read-only. Bound into it, read-only: the interpreter, its standard library without
  installed packages, its shared libraries, the one program that receives the source. No /proc, no /dev, no home, no
  project. On request a private /tmp in memory, of limited size. No set-user-id, no devices.
- *Processes.* A process namespace in which it is alone; no right to start a process or a thread. It ends with its
  parent, at the deadline and with its result, and the parent waits until it is gone.
- *Network and other channels.* Namespaces of its own for network, IPC, host name and cgroups; no sockets, no shared
  memory, no message queues, no terminal, no inherited descriptors, no environment.
- *Rights.* An unprivileged user of a user namespace that cannot make another; no capabilities; no new privileges.
- *The kernel.* A list of some hundred system calls that are done; the others answer "no such call" or end the process.
- *Resources.* Address space, processor time, wall-clock time, open files, sizes of files, messages, result, number of
  calls. Kinds of memory that such limits do not count (memfd, System V, message queues, file locks) cannot be had.
- *The parent.* Receives length-prefixed JSON, checked before it is believed; calls only the tools given for the run, as
  often as allowed. Faults name an exception's built-in class and a line, never a text of the program.
- *Gold labels* never enter, because only ``inputs`` and what tools return enter. Whoever calls sees to these two.

What it does not cover
----------------------
- Faults of the kernel in the calls that are left, and of the processor (side channels through time and caches).
- The tools: every parameter is open to the source, and what a tool returns, it knows.
- A result that is wrong. It is checked by whoever takes it, as text from a model is.
- The clock and random numbers can be read, so a result need not repeat; the order of sets and dicts does.
- Load: within its limits a run may use one core fully. Only the number of files in a scratch folder is bounded by
  nothing but processor time, so no scratch folder is given unless asked for.
- It learns where the interpreter is installed, the kernel's version and the machine's memory and load (uname, sysinfo).

There is no list of allowed syntax: such a list is no boundary in Python, and a boundary is what this is.

What it needs: Linux on x86-64 or 64-bit Arm, bubblewrap 0.8 or newer, user namespaces open to this user. Where Ubuntu's
AppArmor closes them, ``sysctl kernel.apparmor_restrict_unprivileged_userns=0`` opens them, or a profile for bwrap; in a
container they need ``--security-opt seccomp=unconfined`` or a profile that lets ``unshare`` and ``mount`` through.
"""

from __future__ import annotations

from jointcoder.search.sandbox.jail import available
from jointcoder.search.sandbox.result import Availability, Fault, Limits, Result
from jointcoder.search.sandbox.run import run_python

__all__ = ["Availability", "Fault", "Limits", "Result", "available", "run_python"]
