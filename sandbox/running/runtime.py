"""Functions run: which worker takes an invocation, where its code lies, how many run at once."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from sandbox.account import AwsError, Credentials
from sandbox.awslambda.packages import ImageCode, ZipCode
from sandbox.building import images
from sandbox.running.logs import WriteLog
from sandbox.running.process import LocalProcess, Start
from sandbox.running.programs import CannotRunError, Invocation, Program
from sandbox.running.workers import Worker, failed_before_start

CONCURRENCY = 10
"""Of one function: what a new account has in all."""
IDLE_SECONDS = 300.0
MOST_IDLE = 12
"""Idle workers kept warm in all; the longest idle goes first."""
ENTRYPOINT = "/lambda-entrypoint.sh"
"""The entry point of AWS's base images, which runs `python -m awslambdaric` with the CMD."""


RunImage = Callable[[ImageCode], Start]
"""Gets an image ready to run, and says how it is started. Raises CannotRunError."""


class Runtime:
    """Runs programs in worker processes of their own, under their role's credentials."""

    def __init__(
        self,
        *,
        credentials: Callable[[str, str], Credentials],
        endpoint_url: Callable[[], str],
        write_log: WriteLog,
        state_dir: Path,
        concurrency: int = CONCURRENCY,
        run_image: RunImage | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """`credentials` gets the role's ARN and the function's name, as `Iam.session` does.

        `state_dir` keeps unpacked code; it may be deleted when the sandbox is down. `concurrency` is how many
        invocations of one function run at once. `run_image` runs images in a way of its own, instead of
        their layers' Python code in a process; then what had no invocation for `idle_seconds` is stopped
        without waiting for another invocation.
        """
        self._run_image = run_image
        self._idle_seconds = idle_seconds
        self._credentials = credentials
        self._endpoint_url = endpoint_url
        self._write_log = write_log
        self._concurrency = concurrency
        self._code_dir = state_dir / "code"
        self._lock = threading.Lock()
        self._unpacking: dict[str, threading.Lock] = {}
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._running: dict[str, int] = {}
        self._retired: set[str] = set()
        self._stopped = False
        self._closing = threading.Event()
        if run_image is not None:
            threading.Thread(target=self._stop_idle, name="idle workers", daemon=True).start()

    def invoke(
        self,
        program: Program,
        payload: bytes,
        *,
        invoked_arn: str,
        request_id: str | None = None,
    ) -> Invocation:
        """Run one invocation and wait for its end.

        Raises AwsError `TooManyRequestsException` when as many of the function run as may at once.
        """
        request_id = request_id or str(uuid.uuid4())
        self._enter(program.function)
        try:
            try:
                worker = self._take_idle(program) or self._start(program)
            except CannotRunError as problem:
                outcome, lines = failed_before_start(program, request_id, problem.error_type, str(problem))
                now = int(time.time() * 1000)
                stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{program.version}]{uuid.uuid4().hex}"
                written = [(now, line) for line in lines]
                self._write_log(program.role_arn, program.log_group, stream, written)
                return outcome
            try:
                return worker.run(payload, request_id, invoked_arn)
            finally:
                self._put_back(worker)
        finally:
            with self._lock:
                self._running[program.function] -= 1

    def retire(self, identity: str) -> None:
        """Stop the workers of something that will not be invoked again, each when it is free."""
        with self._lock:
            self._retired.add(identity)
            gone = [worker for worker in self._idle if worker.program.identity == identity]
            self._forget(gone)
        for worker in gone:
            worker.stop()

    def stop(self) -> None:
        """End every worker, busy or not."""
        self._closing.set()
        with self._lock:
            self._stopped = True
            workers = list(self._all)
            self._forget(workers)
        for worker in workers:
            worker.stop()

    def worker(self, access_key: str) -> Worker | None:
        """The worker that was given these credentials. Each has its own."""
        with self._lock:
            return next((worker for worker in self._all if worker.access_key == access_key), None)

    @property
    def pids(self) -> list[int]:
        """The processes of all workers."""
        with self._lock:
            return sorted(worker.pid for worker in self._all if worker.pid is not None)

    # --- the pool -------------------------------------------------------------------------------------

    def _enter(self, function: str) -> None:
        with self._lock:
            running = self._running.get(function, 0)
            if running >= self._concurrency:
                raise AwsError(
                    "TooManyRequestsException",
                    "Rate Exceeded.",
                    429,
                    {"Reason": "ConcurrentInvocationLimitExceeded"},
                )
            self._running[function] = running + 1

    def _take_idle(self, program: Program) -> Worker | None:
        """A warm worker of this program. Those idle for long are stopped on the way."""
        with self._lock:
            stale = self._take_stale()
            warm = next((w for w in reversed(self._idle) if w.program.identity == program.identity), None)
            if warm:
                self._idle.remove(warm)
        for worker in stale:
            worker.stop()
        return warm

    def _take_stale(self) -> list[Worker]:
        """Those to stop: idle for long, or dead. The caller holds the lock."""
        now = time.monotonic()
        stale = [w for w in self._idle if now - w.idle_since > self._idle_seconds or not w.usable]
        self._forget(stale)
        return stale

    def _stop_idle(self) -> None:
        while not self._closing.wait(min(self._idle_seconds / 4, 1.0)):
            with self._lock:
                stale = self._take_stale()
            for worker in stale:
                worker.stop()

    def _put_back(self, worker: Worker) -> None:
        with self._lock:
            keep = worker.usable and not self._stopped and worker.program.identity not in self._retired
            surplus = [] if keep else [worker]
            if keep:
                self._idle.append(worker)
                if len(self._idle) > MOST_IDLE:
                    surplus = [min(self._idle, key=lambda idle: idle.idle_since)]
            self._forget(surplus)
        for gone in surplus:
            gone.stop()

    def _forget(self, workers: list[Worker]) -> None:
        for worker in workers:
            self._all.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)

    def _start(self, program: Program) -> Worker:
        start = self._prepare(program)
        try:
            credentials = self._credentials(program.role_arn, program.function)
        except AwsError:
            raise AwsError(
                "AccessDeniedException",
                "The role defined for the function cannot be assumed by Lambda.",
                403,
            ) from None
        worker = Worker(
            program,
            start,
            credentials=credentials,
            endpoint_url=self._endpoint_url(),
            write_log=self._write_log,
        )
        with self._lock:
            self._all.add(worker)
            stopped = self._stopped
        if stopped:
            worker.stop()
            raise AwsError("ServiceException", "The sandbox is shutting down.", 500)
        return worker

    # --- code -----------------------------------------------------------------------------------------

    def _prepare(self, program: Program) -> Start:
        """How the program is started, with its code in place. Raises CannotRunError."""
        code = program.code
        if isinstance(code, ZipCode):
            return partial(
                LocalProcess,
                task_root=self._unzipped(code),
                handler=program.handler or "",
                image_environment={},
            )
        handler, entrypoint = image_handler(code.config.get("config") or {})
        if code.architecture != program.architecture:
            raise CannotRunError("Runtime.InvalidEntrypoint", f"fork/exec {entrypoint}: exec format error")
        if self._run_image is not None:
            return self._run_image(code)
        return self._in_a_process(code, handler, entrypoint)

    def _in_a_process(self, image: ImageCode, handler: str | None, entrypoint: str) -> Start:
        if handler is None:
            raise CannotRunError(
                "Runtime.InvalidEntrypoint",
                f"Couldn't start {entrypoint}: the sandbox runs images whose command is one Python handler, "
                f'as in CMD ["app.handler"]',
            )
        settings = image.config.get("config") or {}
        environment = _environment(settings.get("Env"))
        directory = settings.get("WorkingDir") or "/var/task"
        folder = self._unpacked(image) / str(directory).lstrip("/")
        if not folder.is_dir():
            raise CannotRunError("Runtime.InvalidWorkingDir", f"chdir {directory}: no such file or directory")
        return partial(LocalProcess, task_root=folder, handler=handler, image_environment=environment)

    def _unpacked(self, image: ImageCode) -> Path:
        try:
            return self._once(
                image.sha256, lambda target: images.unpack(image.manifest, image.read_blob, target)
            )
        except images.UnpackError as problem:
            raise CannotRunError("Runtime.InvalidImage", str(problem)) from None

    def _unzipped(self, code: ZipCode) -> Path:
        def unzip(target: Path) -> None:
            # `extractall` keeps every member below the target, whatever its name says.
            with zipfile.ZipFile(io.BytesIO(code.content)) as archive:
                archive.extractall(target)

        return self._once(hashlib.sha256(code.content).hexdigest(), unzip)

    def _once(self, name: str, unpack: Callable[[Path], object]) -> Path:
        """The folder `name`, unpacked when it is not there yet; never seen half done."""
        folder = self._code_dir / name
        with self._lock:
            unpacking = self._unpacking.setdefault(name, threading.Lock())
        with unpacking:  # its own: a huge image must not keep others from starting
            if not folder.is_dir():
                self._code_dir.mkdir(parents=True, exist_ok=True)
                unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._code_dir))
                try:
                    unpack(unfinished)
                    unfinished.rename(folder)
                except BaseException:
                    shutil.rmtree(unfinished, ignore_errors=True)
                    raise
        return folder


def image_handler(settings: Mapping[str, object]) -> tuple[str | None, str]:
    """The Python handler an image starts, if it starts one, and its entry point for messages."""
    entrypoint, command = _words(settings.get("Entrypoint")), _words(settings.get("Cmd"))
    shown = entrypoint[0] if entrypoint else ENTRYPOINT
    if shown == ENTRYPOINT and len(command) == 1 and "." in command[0] and not command[0].startswith("/"):
        return command[0], shown
    return None, shown


def _environment(pairs: object) -> dict[str, str]:
    environment: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, list) else []:
        if not isinstance(pair, str) or "\0" in pair or pair != _encodable(pair):
            raise CannotRunError("Runtime.InvalidImage", f"the image's config has an Env entry {pair!r:.80}")
        name, _, value = pair.partition("=")
        environment[name] = value
    return environment


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []
