"""Attacks from inside the sandbox: each is contained, and each would succeed if the wall that stops it were not there.

Three questions to an attack. In the whole jail: what stops it? Without the filter of system calls: does the empty
machine alone hold? With the wall taken out that is meant to stop it: does it get through, so that the first two answers
mean something?
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from jointcoder.search.sandbox import Limits, Result, run_python
from jointcoder.search.sandbox.jail import Jail
from jointcoder.search.sandbox.run import attempt
from tests.search.jails import SECRET, Host, assail, breached, isolated, marked, standing, whole

pytestmark = isolated

SETTLE_S = 60.0  # until something must be gone
CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) == -1:
        raise OSError(ctypes.get_errno(), name)
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with standing(tmp_path) as there:
        yield there


@dataclass(frozen=True)
class Attack:
    """``source`` defines ``attack``; ``whole``: the fault's code, or the exception, that stops it in the whole jail;
    ``bare``: likewise without the filter; ``without`` and ``extra``: how to take the wall out (unfiltered as well)."""

    source: str
    whole: str
    bare: str
    without: tuple[tuple[str, ...], ...] = ()
    extra: tuple[str, ...] = ()
    scratch_mb: int = 0


NO_PIDS = (("--unshare-pid",), ("--as-pid-1",))
ATTACKS = {
    "read a file": Attack(
        "def attack(i, t): return open(i['file']).read()",
        whole="FileNotFoundError",
        bare="FileNotFoundError",
        extra=("--ro-bind", "{folder}", "{folder}"),
    ),
    "read a file through a link": Attack(
        "import os\ndef attack(i, t):\n os.symlink(i['file'], '/tmp/x'); return open('/tmp/../tmp/x').read()",
        whole="FileNotFoundError",
        bare="FileNotFoundError",
        extra=("--ro-bind", "{folder}", "{folder}"),
        scratch_mb=1,
    ),
    "write a file": Attack(
        "def attack(i, t):\n open(i['folder'] + '/mine', 'w').close(); return i['folder']",
        whole="FileNotFoundError",
        bare="FileNotFoundError",
        extra=("--bind", "{folder}", "{folder}"),
    ),
    "change what is bound": Attack(
        "def attack(i, t):\n open(i['file'], 'a').close(); return i['file']",
        whole="FileNotFoundError",
        bare="FileNotFoundError",
        extra=("--bind", "{folder}", "{folder}"),
    ),
    "reach a server": Attack(
        "import socket\ndef attack(i, t): return str(socket.create_connection(('127.0.0.1', i['port']), 5))",
        whole="JC455",
        bare="ConnectionRefusedError",
        without=(("--unshare-net",),),
    ),
    "reach an abstract socket": Attack(
        "import socket\ndef attack(i, t):\n"
        " s = socket.socket(socket.AF_UNIX); s.connect(i['abstract']); return 'connected'",
        whole="JC455",
        bare="ConnectionRefusedError",
        without=(("--unshare-net",),),
    ),
    "reach a socket by its path": Attack(
        "import os, socket\ndef attack(i, t):\n"
        " os.chdir(i['folder']); s = socket.socket(socket.AF_UNIX); s.connect('socket'); return 'connected'",
        whole="FileNotFoundError",
        bare="FileNotFoundError",
        extra=("--bind", "{folder}", "{folder}"),
    ),
    "kill a process": Attack(
        "import os\ndef attack(i, t):\n os.kill(i['victim'], 0); return i['victim']",
        whole="JC455",
        bare="ProcessLookupError",
        without=NO_PIDS,
    ),
    "look at processes": Attack(
        "import os\ndef attack(i, t): return open(f\"/proc/{i['parent']}/cmdline\", 'rb').read().decode('latin-1')",
        whole="FileNotFoundError",
        bare="FileNotFoundError",
        extra=("--ro-bind", "/proc", "/proc"),
    ),
    "be root of a namespace, and mount": Attack(
        CALL + "def attack(i, t):\n call('unshare', 0x10020000); call('mount', b'x', b'/tmp', b'tmpfs', 0, None)",
        whole="JC455",
        bare="OSError",
        without=(("--disable-userns",),),
        scratch_mb=1,
    ),
    "write where the program lies": Attack(
        "def attack(i, t):\n open('/mine', 'w').close(); return '/mine'",
        whole="OSError",
        bare="OSError",
        without=(("--remount-ro", "/"),),
    ),
    "see the environment": Attack(
        "import ctypes, sys\ndef attack(i, t):\n"  # it lies in memory behind the arguments, cleared or not
        " at = ctypes.c_void_p.in_dll(ctypes.CDLL(None), 'program_invocation_name').value\n"
        " found = b''\n"
        " for _ in [*sys.orig_argv, 'and the hash seed', 'and the folder', 'and the file']:\n"
        "  found += ctypes.string_at(at + len(found)) + b' '\n"
        " return found.index(b'MARKED=')",
        whole="ValueError",
        bare="ValueError",
        extra=("--setenv", "MARKED", "here"),
    ),
}


def put(attack: Attack, host: Host) -> tuple[str, ...]:
    return tuple(part.format(folder=host.folder) for part in attack.extra)


def came_to(result: Result) -> str:
    """What stopped an attack: the fault's code or the exception's name; "reached" if nothing did."""
    if result.fault is not None:
        return result.fault.code
    assert result.value[0] in ("reached", "stopped")
    return "reached" if result.value[0] == "reached" else result.value[1]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_stopped(name: str, host: Host) -> None:
    attack = ATTACKS[name]
    result = assail(attack.source, inputs=host.inputs, limits=Limits(scratch_mb=attack.scratch_mb))
    assert came_to(result) == attack.whole
    assert host.unharmed
    assert run_python("def run(i, t): return i", inputs=7).value == 7, "the parent goes on"


@pytest.mark.parametrize("name", ATTACKS)
def test_the_empty_machine_alone_stops_it(name: str, host: Host) -> None:
    attack = ATTACKS[name]
    jail = breached(filtered=False)
    result = assail(attack.source, jail=jail, inputs=host.inputs, limits=Limits(scratch_mb=attack.scratch_mb))
    assert came_to(result) == attack.bare
    assert host.unharmed


@pytest.mark.parametrize("name", ATTACKS)
def test_without_its_wall_it_gets_through(name: str, host: Host) -> None:
    attack = ATTACKS[name]
    jail = breached(*attack.without, extra=put(attack, host), filtered=False)
    result = assail(attack.source, jail=jail, inputs=host.inputs, limits=Limits(scratch_mb=attack.scratch_mb))
    assert came_to(result) == "reached", result.fault


FORBIDDEN = {
    "fork": "import os\ndef attack(i, t): return os.fork()",
    "a fork bomb": "import os\ndef attack(i, t):\n while True: os.fork()",
    "a thread": "import threading\ndef attack(i, t):\n threading.Thread(target=print).start()",
    "a shell": "import subprocess\ndef attack(i, t): return subprocess.run(['/bin/sh', '-c', 'id']).returncode",
    "a shell found through object": (
        "def attack(i, t):\n"
        " for c in ().__class__.__base__.__subclasses__():\n"
        "  if c.__name__ == '_wrap_close': return c.__init__.__globals__['system']('id')"
    ),
    "a local socket": "import socket\ndef attack(i, t): return socket.socket(socket.AF_UNIX).fileno()",
    "netlink": "import socket\ndef attack(i, t): return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).fileno()",
    "a pair of sockets": "import socket\ndef attack(i, t): return len(socket.socketpair())",
    "memory in a file": "import os\ndef attack(i, t): return os.memfd_create('x')",
    "shared memory": CALL + "def attack(i, t): call('shmget', 0, 1 << 30, 0o1600)",
    "another's memory": CALL + "def attack(i, t): call('process_vm_readv', i['parent'], None, 0, None, 0, 0)",
    "signals to all": "import os\ndef attack(i, t): os.kill(-1, 9)",
    "a signal to the parent": "import os\ndef attack(i, t): os.kill(os.getppid(), 9)",
    "being root": "import os\ndef attack(i, t): os.setuid(0)",
    "the clock": "import time\ndef attack(i, t): time.clock_settime(time.CLOCK_REALTIME, 0)",
    "tracing": CALL + "def attack(i, t): call('ptrace', 0, 0, 0, 0)",
    "another root": "import os\ndef attack(i, t): os.chroot('/')",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_system_calls_that_end_the_process(name: str, host: Host) -> None:
    result = assail(FORBIDDEN[name], inputs=host.inputs)
    assert came_to(result) == "JC455"
    assert "system call" in str(result.fault)
    assert host.unharmed


REFUSED = {
    "typing into a terminal": "import fcntl\ndef attack(i, t): return fcntl.ioctl(0, 0x5412, b'x')",
    "io_uring": CALL + "def attack(i, t): call('syscall', 435)",  # clone3, which libraries try first
    "more memory": (
        "import resource\ndef attack(i, t):\n resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)"
    ),
    "locks": "import fcntl\ndef attack(i, t): return fcntl.lockf(0, fcntl.LOCK_SH)",
    "switches of the process": CALL + "def attack(i, t): call('prctl', 1, 0, 0, 0, 0)",  # not to end with the parent
    "a program of the host": "import os\ndef attack(i, t): os.execv('/bin/sh', ['sh'])",
    "the terminal": "def attack(i, t): return open('/dev/tty').name",
}


@pytest.mark.parametrize("name", REFUSED)
def test_system_calls_that_are_not_done(name: str) -> None:
    assert came_to(assail(REFUSED[name])) not in ("reached", "JC455")


def test_nothing_of_the_host_is_in_sight(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOINTCODER_API_KEY", SECRET)
    source = """
import gc, os, sys
def run(i, t):
    files = [os.path.join(at, name) for at, _, names in os.walk("/") for name in names]
    texts = [o for o in gc.get_objects() if isinstance(o, str)] + [repr(o)[:10000] for o in gc.get_objects()[:20000]]
    return {"files": files, "environment": dict(os.environ), "argv": sys.argv, "user": os.getuid(),
            "secret": sum("-".join(["the", "gold", "label"]) in text for text in texts), "host": os.uname().nodename,
            "missing": [p for p in ("/proc", "/dev", "/etc", "/sys", "/home", "/bin/sh", "/usr/bin/env", i["project"])
                        if not os.path.exists(p)]}
"""
    found = run_python(source, inputs=host.inputs).value
    jail = whole()
    assert (found["environment"], found["secret"], found["user"], found["host"]) == ({}, 0, 65534, "sandbox")
    assert found["argv"] == ["/child.py"]
    assert len(found["missing"]) == 8
    bound = {jail.executable, *jail.libraries, "/child.py"}
    strange = [f for f in found["files"] if f not in bound and not f.startswith(tuple(f"{d}/" for d in jail.folders))]
    assert strange == []
    assert not any("site-packages/" in f or "dist-packages/" in f for f in found["files"])


@pytest.mark.parametrize("target", ["os.getppid()", "0", "1", "os.getpid()"])
def test_signals_reach_nobody_else(target: str, host: Host) -> None:
    source = f"import os\ndef attack(i, t): os.kill({target}, 9)"
    assert assail(source, jail=breached(filtered=False)).fault is None, "not even itself: it is the first process"
    assert host.unharmed


def test_no_descriptor_leaks(tmp_path: Path) -> None:
    source = """
import os
def run(i, t):
    found = []
    for fd in range(1024):
        try:
            found.append([fd, os.fstat(fd).st_mode >> 12])
        except OSError:
            pass
    return found
"""
    with (tmp_path / "open").open("w+") as kept:
        os.set_inheritable(kept.fileno(), True)
        pipe = 1
        assert run_python(source, inputs=None).value == [[0, pipe], [1, pipe], [2, pipe]]


# ------------------------------------------------------------------------------------------------------------- limits


def test_memory_is_limited() -> None:
    source = "def run(i, t): return len(bytearray(i))"
    small, large = Limits(memory_mb=80), Limits(memory_mb=200)
    over = run_python(source, inputs=100_000_000, limits=small)
    assert (over.fault and over.fault.code, over.value) == ("JC454", None)
    assert run_python(source, inputs=100_000_000, limits=large).value == 100_000_000


def test_a_memory_bomb_ends() -> None:
    source = "def run(i, t):\n x = []\n while True: x.append(bytearray(1_000_000))"
    result = run_python(source, inputs=None, limits=Limits(memory_mb=128))
    assert result.fault
    assert result.fault.code == "JC454"
    assert result.peak_memory_mb is not None
    assert result.peak_memory_mb < 128


ENDLESS = {
    "a loop": "def run(i, t):\n while True: pass",
    "a loop that catches all": "def run(i, t):\n while True:\n  try: raise SystemExit\n  except BaseException: pass",
    "one instruction": "import re\ndef run(i, t): return bool(re.match('(a*)*b', 'a' * 40))",
    "sleep": "import time\ndef run(i, t): time.sleep(600)",
    "at import": "while True: pass",
    "deaf to signals": (
        "import signal\ndef run(i, t):\n for n in range(1, 65):\n"
        "  try: signal.signal(n, signal.SIG_IGN)\n  except (OSError, ValueError): pass\n while True: pass"
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_program_ends(name: str) -> None:
    result = run_python(ENDLESS[name], inputs=None, limits=Limits(wall_s=1))
    assert result.fault
    assert (result.fault.code, "longer than 1 s" in result.fault.message) == ("JC453", True)


def test_processor_time_is_limited_by_the_kernel() -> None:
    result = run_python("def run(i, t):\n while True: pass", inputs=None, limits=Limits(wall_s=300, cpu_s=1))
    assert result.fault
    assert (result.fault.code, "processor time" in result.fault.message) == ("JC453", True)


@pytest.mark.parametrize("depth", ["", "import sys; sys.setrecursionlimit(10**9)\n"])
def test_recursion_ends(depth: str) -> None:
    result = run_python(f"{depth}def run(i, t): return [run(i, t)]", inputs=None, limits=Limits(memory_mb=64))
    assert result.fault
    assert result.fault.code in (("JC454", "JC457", "JC459") if depth else ("JC457",))
    assert depth or result.fault.type == "RecursionError"


def test_the_scratch_folder_is_as_large_as_stated() -> None:
    source = """
def attack(i, t):
    written = 0
    try:
        for number in range(8):
            with open(f"/tmp/{number}", "wb", buffering=0) as file:
                for _ in range(4):
                    written += file.write(bytes(250_000))
    except OSError:
        pass
    return written
"""
    limits = Limits(scratch_mb=2)
    assert 1_000_000 < assail(source, limits=limits).value[1] <= 2_000_000
    endless = breached(("--size", "2000000"))
    assert assail(source, jail=endless, limits=limits).value[1] == 8_000_000, "the bound is that of the folder"
    one = "def attack(i, t): return open('/tmp/x', 'wb', buffering=0).write(bytes(9_000_000))"
    assert assail(one, jail=endless, limits=limits).value[1] == 2_000_000, "one file is bounded by itself"
    assert came_to(assail("def attack(i, t): open('/tmp/x', 'w')")) == "FileNotFoundError", "none unless asked for"


def test_no_file_gives_rights_to_who_runs_it() -> None:
    source = """
import ctypes, os, sys
def run(i, t):
    places = ["/", "/tmp", sys.executable, os.__file__, "/child.py"]
    bits = [os.path.join(at, n) for at, _, names in os.walk("/") for n in names
            if os.stat(os.path.join(at, n)).st_mode & 0o6000]
    return [p for p in places if not os.statvfs(p).f_flag & os.ST_NOSUID], bits, ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)
"""
    limits = Limits(scratch_mb=1)
    assert run_python(source, inputs=None, limits=limits).value == [[], [], -1]
    bare = attempt(breached(filtered=False), source, inputs=None, tools={}, limits=limits)
    assert bare.value == [[], [], 1], "no new privileges, ever"


# ------------------------------------------------------------------------------------------------ what is left behind


def test_processes_that_the_program_leaves_end_with_it() -> None:
    mark = uuid.uuid4().hex
    source = """
import os, signal, time
def attack(i, t):
    left = 0
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)
            os.close(0); os.close(1); os.close(2)
            time.sleep(600)
        left += 1
    return left
"""
    jail = breached(filtered=False, mark=mark)
    result = assail(source, jail=jail, limits=Limits(wall_s=60))
    if came_to(result) == "BlockingIOError":
        pytest.skip("the kernel's limit of processes stopped it before")
    assert result.value == ["reached", 4]
    assert marked(mark) == []


@pytest.mark.parametrize("source", [ENDLESS["sleep"], ENDLESS["deaf to signals"], "def run(i, t): return 1"])
def test_nothing_is_left_of_a_run(source: str) -> None:
    mark = uuid.uuid4().hex
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    attempt(breached(mark=mark), source, inputs=None, tools={}, limits=Limits(wall_s=1))
    assert marked(mark) == []
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


PARENT = """
import sys
from tests.search.jails import breached
from jointcoder.search.sandbox import Limits
from jointcoder.search.sandbox.run import attempt
def started():
    print("started", flush=True)
source = "import time\\ndef run(i, t):\\n t.started(); time.sleep(600)"
attempt(breached(mark=sys.argv[1]), source, inputs=None, tools={"started": started}, limits=Limits(wall_s=600))
"""


def test_the_sandbox_dies_with_its_parent() -> None:
    mark = uuid.uuid4().hex
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, mark], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}, cwd=root
    )
    assert parent.stdout
    with parent.stdout:
        assert parent.stdout.readline() == b"started\n"
        assert len(marked(mark)) >= 2, "the parent and the sandbox"
        parent.kill()
        parent.wait()
    until = time.monotonic() + SETTLE_S
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert marked(mark) == []


ENDINGS = {
    "leaves": ("import os\ndef run(i, t): os._exit(3)", "JC459"),
    "raises SystemExit": ("def run(i, t): raise SystemExit(0)", "JC457"),
    "aborts": ("import os\ndef run(i, t): os.abort()", "JC459"),
    "reads address 0": ("import ctypes\ndef run(i, t): ctypes.string_at(0)", "JC459"),
    "closes its pipe": ("import os, time\ndef run(i, t):\n os.close(1); time.sleep(600)", "JC453"),
    "starts itself again": (
        "import os, sys\ndef run(i, t): os.execv(sys.executable, [sys.executable, '-S', '-c', 'pass'])",
        "JC459",
    ),
    "pretends to have been stopped": ("import os\ndef run(i, t): os._exit(128 + 31)", "JC455"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_whatever_way_it_ends_the_result_says_so(name: str) -> None:
    source, code = ENDINGS[name]
    result = run_python(source, inputs=None, limits=Limits(wall_s=2 if code == "JC453" else 60))
    assert result.fault
    assert (result.fault.code, result.value) == (code, None)


def test_runs_do_not_see_one_another() -> None:
    leave = "def run(i, t):\n open('/tmp/left', 'w').close(); import json; json.spoilt = 1; return 1"
    look = "import os, json\ndef run(i, t): return [os.listdir('/tmp'), hasattr(json, 'spoilt'), hash('a')]"
    scratch = Limits(scratch_mb=1)
    assert run_python(leave, inputs=None, limits=scratch).value == 1
    first = run_python(look, inputs=None, limits=scratch).value
    assert first[:2] == [[], False]
    assert run_python(look, inputs=None, limits=scratch).value == first, "and hashes are the same in every run"


def test_several_run_at_once() -> None:
    source = "def run(i, t): return [t.twice(i) for _ in range(20)]"
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda n: run_python(source, inputs=n, tools={"twice": lambda v: 2 * v}).value, range(8))
    assert list(results) == [[2 * n] * 20 for n in range(8)]


def test_the_interfaces_of_the_network_are_its_own() -> None:
    source = "import socket\ndef attack(i, t): return [name for _, name in socket.if_nameindex()]"
    bare: Jail = breached(filtered=False)
    assert assail(source, jail=bare).value == ["reached", ["lo"]]
    here = [name for _, name in socket.if_nameindex()]
    if here == ["lo"]:
        pytest.skip("this machine itself has no other")
    assert assail(source, jail=breached(("--unshare-net",), filtered=False)).value == ["reached", here]
