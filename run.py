#!/usr/bin/env python3
"""Run OsteoScreen from a clone: ``python3 run.py demo | screen ... | test | ...``.

The first use makes the virtual environment ``.venv`` beside this file and installs the project into it; every later
use hands over to it at once. Standard library only, and written to parse on Python 3.6, so that an old Python is told
what is missing instead of meeting a syntax error.

What is kept in ``.venv``: ``osteoscreen-ready`` (written last, holds the fingerprint of what was installed) and
``osteoscreen-unfinished`` (there only while the environment is being changed: where it is found without its owner
running, that owner was killed half-way and the environment is made anew).
"""

import os
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
WINDOWS = os.name == "nt"
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if WINDOWS else os.path.join(VENV, "bin", "python")
READY = os.path.join(VENV, "osteoscreen-ready")
UNFINISHED = os.path.join(VENV, "osteoscreen-unfinished")
LOCK = os.path.join(ROOT, ".venv.lock")
LOG = os.path.join(VENV, "osteoscreen-install.log")
REQUIREMENTS = "requirements-dev.txt"
#: How pip begins its line on each package that is there already: a hundred of them, where one is to be brought.
SATISFIED = b"Requirement already satisfied"
FINGERPRINTED = ("pyproject.toml", "setup.py", REQUIREMENTS)
OLDEST = (3, 10)

USAGE = """usage: python3 run.py COMMAND ...

  demo             simulate a chest CT, screen it, and say where the page is
  screen CT -o OUT screen a chest CT
  test             check the code and run the tests (further arguments go to pytest)
  COMMAND --help   what a command takes

The first use makes the folder .venv here and installs OsteoScreen and its packages into it
(a download of several hundred megabytes, once)."""

# What pip's log says, and what that means for the person waiting. The first that is found is shown.
PIP_TROUBLE = (
    (("No space left on device",), "The disk is full: free about 3 GB and run the same command again."),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "The package index's certificate is not trusted here: set PIP_CERT to the "
        "certificate file of your network and run the same command again.",
    ),
    (
        (
            "Failed to establish a new connection",
            "Temporary failure in name resolution",
            "NewConnectionError",
            "NameResolutionError",
            "ConnectTimeoutError",
            "Read timed out",
            "ProxyError",
            "Network is unreachable",
        ),
        "The package index could not be reached: check the network (behind a proxy, set HTTPS_PROXY) and run the same "
        "command again.",
    ),
    (
        ("No matching distribution found for torch",),
        "There is no PyTorch for this Python or this system: try another Python from 3.10 on.",
    ),
)


class SetupError(Exception):
    """The environment could not be made; the message says what to do."""


def say(text):
    """Tell the user, on stderr: stdout belongs to the command that runs afterwards."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def check_python():
    """Raise SetupError when this Python is too old."""
    if sys.version_info < OLDEST:
        from shutil import which

        newer = [name for name in ("python3.13", "python3.12", "python3.11", "python3.10") if which(name)]
        advice = f"Run it with {newer[0]} instead." if newer else "Install a newer Python and run it with that."
        raise SetupError(
            "OsteoScreen needs Python {}.{} or later; this is Python {}.{}. {}".format(
                OLDEST[0], OLDEST[1], sys.version_info[0], sys.version_info[1], advice
            )
        )


def fingerprint():
    """Return the hash of all that decides what is installed, and of where: an editable install knows its place."""
    import hashlib

    digest = hashlib.sha256(ROOT.encode("utf-8", "surrogateescape"))
    for name in FINGERPRINTED:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def is_ready(wanted):
    """Tell whether the environment holds what is wanted."""
    try:
        with open(READY) as file:
            return file.read() == wanted and os.path.exists(PYTHON)
    except OSError:
        return False


class Lock:
    """One set-up at a time. The system drops the lock when its holders die, so it never goes stale.

    The programs that change the environment hold it too: where run.py is killed and its pip lives on, the next
    run.py waits for that pip to end.
    """

    held = ()

    def __enter__(self):
        """Take the lock, waiting for as long as another set-up holds it."""
        try:
            self.file = open(LOCK, "a+")
        except OSError as error:
            raise SetupError(f"Cannot write in {ROOT} ({error.strerror}): put the clone where you may write.") from None
        waiting = False
        while not self._try():
            if not waiting:
                say("Another run.py is setting up OsteoScreen here; waiting for it.")
                waiting = True
            import time

            time.sleep(0.2)
        if not WINDOWS:
            Lock.held = (self.file.fileno(),)
        return self

    def __exit__(self, *exception):
        """Give the lock back."""
        Lock.held = ()
        self.file.close()

    def _try(self):
        import errno

        try:
            if WINDOWS:
                import msvcrt

                self.file.seek(0)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # A file system that has no locks at all must not stop the set-up.
            return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
        return True


def call(command, **options):
    """Run a command with its output on stderr and return its exit status."""
    import subprocess

    return subprocess.call(command, stdout=sys.stderr.fileno(), cwd=ROOT, pass_fds=Lock.held, **options)


def call_without_satisfied(command, **options):
    """Run pip as `call` does, without its lines on what is there already; its errors and the log have everything."""
    import subprocess

    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, pass_fds=Lock.held, **options)
    try:
        for line in process.stdout:
            if not line.startswith(SATISFIED):
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
        return process.wait()
    except BaseException:
        process.kill()
        raise


def usable():
    """Tell whether there is an environment that was left whole and has a working pip."""
    import subprocess

    if os.path.exists(UNFINISHED) or not os.path.exists(PYTHON):
        return False
    check = f"import sys, pip; sys.exit(sys.version_info < {OLDEST!r})"
    return subprocess.call([PYTHON, "-I", "-c", check], stderr=subprocess.DEVNULL) == 0


def write(path, text):
    """Write a small file so that it is never seen half written."""
    with open(path + ".part", "w") as file:
        file.write(text)
    os.replace(path + ".part", path)


def make_environment():
    """Make .venv anew, with pip in it."""
    import importlib.util
    import shutil

    if os.path.lexists(VENV):
        say("The environment in .venv is not whole: making it anew.")
        shutil.rmtree(VENV)
    os.mkdir(VENV)
    write(UNFINISHED, "")
    say(f"Making the environment {VENV} with Python {sys.version.split()[0]} ...")
    if importlib.util.find_spec("venv") is None:
        raise SetupError(
            "This Python has no venv module: install it (Debian, Ubuntu: sudo apt install python3-venv) "
            "and run the same command again."
        )
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    if call([sys.executable, "-m", "venv"] + ([] if has_ensurepip else ["--without-pip"]) + [VENV]) != 0:
        raise SetupError(f"Python could not make the environment {VENV}; its reason stands above.")
    if not has_ensurepip:
        borrow_pip()


def borrow_pip():
    """Put a pip into the environment with the pip outside: some Linux systems ship Python without ensurepip."""
    import subprocess

    advice = (
        "This Python can make no environment with pip: install its venv package (Debian, Ubuntu: sudo apt "
        "install python3-venv) and run the same command again."
    )
    where = subprocess.check_output([PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    target = where.decode().strip()
    if (
        call([sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--target", target, "pip"])
        != 0
    ):
        raise SetupError(advice)


def install(updating):
    """Install what requirements-dev.txt names into the environment; ``updating`` where most of it is there."""
    say("Installing OsteoScreen and its packages (once; this can take some minutes) ...")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    if os.path.exists(LOG):
        os.remove(LOG)
    run = call_without_satisfied if updating else call
    status = run(
        [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "--log", LOG, "install", "-r", REQUIREMENTS],
        env=environment,
    )
    if status != 0:
        raise SetupError(explain_pip())


def explain_pip():
    """Return one sentence on why pip failed and what to do."""
    try:
        with open(LOG, errors="replace") as file:
            log = file.read()
    except OSError:
        log = ""
    for signs, advice in PIP_TROUBLE:
        if any(sign in log for sign in signs):
            return advice
    return f"pip could not install the packages; its reason stands above, and in full in {LOG}."


def set_up(wanted):
    """Bring the environment to what is wanted, whatever state it is in."""
    with Lock():
        if is_ready(wanted):
            return
        updating = usable()
        if updating:
            say("What OsteoScreen needs has changed: bringing .venv up to date.")
            if os.path.exists(READY):
                os.remove(READY)
            write(UNFINISHED, "")
        else:
            make_environment()
        try:
            install(updating)
        except SetupError:
            # pip ended by itself, so it left no package half written: the next run may go on from here.
            os.remove(UNFINISHED)
            raise
        os.remove(UNFINISHED)
        write(READY, wanted)
        say("OsteoScreen is set up.")


def hand_over(arguments):
    """Become the command in the environment; on Windows, run it and pass its exit status on."""
    # -I: neither the caller's folder nor PYTHONPATH may put another numpy or torch in the way.
    command = [PYTHON, "-I", "-m", "OsteoScreenLib"] + arguments
    if not WINDOWS:
        os.execv(PYTHON, command)
    import subprocess

    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the child got it too, and ends in its own way


def test_workers():
    """Return how many pytest workers this machine carries: one per core and one more, for many tests wait; 3 GiB of
    memory each, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 8 << 30  # unknown, as on Windows
    return max(1, min(cores + 1, 4, memory // (3 << 30)))


def test(arguments):
    """Check style and types, run the tests, and return 0 if all three are clean; pytest speaks last."""
    import subprocess

    steps = (
        ("ruff", ["ruff", "check", "."]),
        ("mypy", ["mypy"]),
        ("pytest", ["pytest", "-n", str(test_workers()), "--dist", "worksteal"] + arguments),
    )
    failed = []
    for name, command in steps:
        if name == "pytest" and failed:
            say("Not clean: {} (see above). The tests run all the same.".format(" and ".join(failed)))
        if subprocess.call([PYTHON, "-m"] + command, cwd=ROOT) != 0:
            failed.append(name)
    return 1 if failed else 0


def main(arguments):
    """Set up where needed, then do what was asked; return the exit status."""
    try:
        check_python()
        wanted = fingerprint()
        if not is_ready(wanted):
            if not arguments or arguments[0] in ("-h", "--help"):
                print(USAGE)
                return 0
            set_up(wanted)
        return test(arguments[1:]) if arguments[:1] == ["test"] else hand_over(arguments)
    except SetupError as error:
        say(f"run.py: {error}")
    except OSError as error:
        say(f"run.py: {error.strerror or error}: {error.filename}" if error.filename else f"run.py: {error}")
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again to go on.")
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
