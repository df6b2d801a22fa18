"""Find out how this copy of vsrc is installed, and which commands install what is missing.

Every installation command in a message is built here:

    a checkout (its files are run)   pip install -c constraints.txt -e '.[cpu]'
    a wheel, or any other copy       pip install 'onnxruntime>=1.20'

The second names packages and not vsrc, since pip may know vsrc only by the wheel file.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from vsrc import __version__
from vsrc.runtime.dependencies import (
    DISTRIBUTION,
    Dependency,
    dependencies,
    dependencies_of,
    find_version,
    is_importable,
)
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.machine import is_jetson

TORCH_SOURCE = (
    "where there is no NVIDIA GPU, install torch first from PyTorch's wheel index for CPUs, which "
    "its page 'Get started' names: the default build includes several GB of CUDA"
)
"""Note for each command that installs torch."""

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Command:
    """A shell command for the user.

    Attributes:
        text: Command line, quoted for a shell.
        dry_run: Program and options of a dry run that fails where the command would fail, without
            the packages; empty where there is none.
        packages: Packages, the last arguments of the dry run.
    """

    text: str
    dry_run: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Installation:
    """How this copy was installed, and the pip to use.

    Attributes:
        checkout: Folder of a clone or unpacked source archive that is run directly; None for a
            copy in site-packages.
        constraints: pip constraints file of versions that were tested together, or None.
        source: File or folder that pip installed it from; None for a package index.
        pip: Command that runs the pip of this Python.
        target: pip options that are needed to install into this environment.
    """

    checkout: Path | None
    constraints: Path | None
    source: Path | None
    pip: tuple[str, ...]
    target: tuple[str, ...] = ()

    def install(self, *requirements: str, options: Sequence[str] = ()) -> Command:
        """Return the command that installs requirements."""
        words = (*options, *self._constraint())
        return self._command((*words, *requirements), words, requirements)

    def install_freely(self, *requirements: str) -> Command:
        """Return the command that installs requirements without our constraints."""
        return self._command(requirements, (), requirements)

    def install_extras(self, *extras: str, only: Sequence[Dependency] = ()) -> Command:
        """Return the command that installs the dependencies of extras.

        Args:
            extras: Names of the extras.
            only: Dependencies that are needed; only these are installed without a checkout.
        """
        wanted = list(only) or [
            dependency for extra in extras for dependency in dependencies_of(extra)
        ]
        requirements = [dependency.requirement for dependency in wanted]
        if self.checkout is None:
            return self.install(*requirements)
        words = (*self._constraint(), "-e", f"{_short(self.checkout)}[{','.join(extras)}]")
        # The dry run names the packages: with -e it would build metadata in the checkout.
        return self._command(words, self._constraint(), requirements)

    def install_itself(self) -> Command:
        """Return the command that installs the folder vsrc runs from, with its dependencies."""
        words = (*self._constraint(), "-e", _short(self.checkout or _PACKAGE))
        return self._command(words, words, ())

    def uninstall(self, *names: str) -> str:
        """Return the command that removes packages without confirmation."""
        yes = () if self.pip[0] == "uv" else ("-y",)
        return shlex.join((*self.pip, "uninstall", *yes, *self.target, *names))

    def reinstall(self, *requirements: str) -> Command:
        """Return the command that reinstalls broken packages, without dependencies."""
        return self.install(*requirements, options=("--force-reinstall", "--no-deps"))

    def reinstall_itself(self) -> Command | None:
        """Return the command that restores the files of vsrc; None if one is not enough."""
        if self.checkout is not None:
            if not (self.checkout / ".git").exists():
                return None
            words = ("git", "-C", _short(self.checkout), "restore", "runtime/zoo")
            return Command(shlex.join(words), ("git", "-C", str(self.checkout), "status"))
        if self.source is not None:
            return self.reinstall(str(self.source)) if self.source.exists() else None
        return self.reinstall(f"{DISTRIBUTION}=={__version__}")

    def newer(self) -> str:
        """Describe how to get a newer vsrc, in words or as a command."""
        if self.checkout is not None:
            return f"update the checkout {_short(self.checkout)}"
        if self.source is not None:
            return f"install a newer one in place of what came from {self.source}"
        return f"update it: {self.install(DISTRIBUTION, options=('-U',)).text}"

    def _constraint(self) -> tuple[str, ...]:
        return ("-c", _short(self.constraints)) if self.constraints else ()

    def _command(
        self, words: Sequence[str], options: Sequence[str], packages: Sequence[str]
    ) -> Command:
        line = shlex.join((*self.pip, "install", *self.target, *words))
        dry_run = (*self.pip, "install", "--dry-run", *self.target, *options)
        return Command(line, dry_run, tuple(packages))


def this_installation() -> Installation:
    """Find out how the running copy is installed."""
    source = _source()
    checkout = _PACKAGE if (_PACKAGE / "pyproject.toml").is_file() else None
    folder = checkout or source
    pip, target = _pip()
    return Installation(
        checkout=checkout,
        constraints=constraints_in(folder) if folder and folder.is_dir() else None,
        source=source,
        pip=pip,
        target=target,
    )


def constraints_in(checkout: Path) -> Path | None:
    """Return the constraints file of a checkout for this Python, or None."""
    python = "{}.{}".format(*sys.version_info)
    names = (f"constraints/{python}.txt", f"constraints-{python}.txt", "constraints.txt")
    return next((checkout / name for name in names if (checkout / name).is_file()), None)


def has_nvidia_gpu() -> bool:
    """Whether there is an NVIDIA driver on x86-64, the platform of ONNX Runtime's GPU wheels."""
    is_pc = platform.machine().lower() in ("x86_64", "amd64")
    return is_pc and shutil.which("nvidia-smi") is not None


def is_jetson_board() -> bool:
    """Whether this is an NVIDIA Jetson, whose CUDA and TensorRT are part of JetPack."""
    return is_jetson()


def open_to_system_packages() -> Command:
    """Return the command that makes JetPack's TensorRT available in this environment."""
    if sys.prefix == sys.base_prefix or _sees_system_packages():
        words = ("apt-get", "install", "python3-libnvinfer")
        return Command(shlex.join(("sudo", *words)), ("apt-get", "--simulate", *words[1:]))
    python = str(Path(sys.base_prefix, "bin", "python3"))
    # On an existing environment, venv changes its settings and keeps its packages.
    return Command(shlex.join((python, "-m", "venv", "--system-site-packages", sys.prefix)))


def _sees_system_packages() -> bool:
    try:
        text = Path(sys.prefix, "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"include-system-site-packages\s*=\s*true", text) is not None


def onnxruntime_extras() -> tuple[str, str]:
    """Return the extra with the ONNX Runtime for this machine, and the other one."""
    return ("gpu", "cpu") if has_nvidia_gpu() else ("cpu", "gpu")


def clashing_onnxruntimes() -> tuple[str, ...]:
    """Return the builds of ONNX Runtime in our extras, if both are installed.

    Both unpack to the same folder, which then contains a mixture of the two.
    """
    names = ("onnxruntime", "onnxruntime-gpu")
    return names if all(find_version(name) for name in names) else ()


def refuse_clashing_onnxruntimes() -> None:
    """Raise if two builds of ONNX Runtime are installed: which of them would run is chance.

    Raises:
        MissingDependencyError: Both are installed; the message has the command that keeps one.
    """
    if builds := clashing_onnxruntimes():
        raise MissingDependencyError(
            f"{' and '.join(builds)} are both installed and overwrite each other; keep one: "
            f"{replace_onnxruntime(*builds, extra=onnxruntime_extras()[0]).text}"
        )


def replace_onnxruntime(*installed: str, extra: str) -> Command:
    """Return the command that replaces the installed builds of ONNX Runtime by an extra's."""
    here = this_installation()
    install = here.install_extras(extra, only=_bringing("onnxruntime", extra))
    text = f"{here.uninstall(*installed)} && {install.text}"
    return Command(text, install.dry_run, install.packages)


def require(purpose: str, *modules: str, extra: str | None = None) -> None:
    """Check that modules can be imported, before the work that needs them.

    Args:
        purpose: Command that needs the modules, for the message: "vsrc compare".
        modules: Names of the modules; they are imported.
        extra: Extra of vsrc to install; None for the first that contains the module.

    Raises:
        MissingDependencyError: One is not installed or cannot be imported; the message has the
            command that fixes it.
    """
    require_installed(purpose, *modules, extra=extra)
    for module in modules:
        with explain_missing(module, extra=extra):
            import_module(module)


def require_installed(purpose: str, *modules: str, extra: str | None = None) -> None:
    """Check that modules are installed, without importing them, for work in a child process."""
    missing = [module for module in modules if not is_importable(module)]
    if missing:
        raise MissingDependencyError(f"{purpose} needs {missing_text(*missing, extra=extra)}")


@contextmanager
def explain_missing(module: str, *, extra: str | None = None) -> Iterator[None]:
    """Turn errors of the imports in the block into messages with the command that fixes them.

    Args:
        module: Module that is imported.
        extra: Extra of vsrc to install; see `require`.

    Raises:
        MissingDependencyError: The module cannot be imported.
    """
    try:
        yield
    except (ImportError, OSError) as error:  # OSError: a linked library is missing
        reason = " ".join(str(error).split())
        if not is_importable(module):
            text = missing_text(module, extra=extra, is_sentence=True)
            raise MissingDependencyError(text) from error
        absent = (getattr(error, "name", None) or "").partition(".")[0]
        wanted = [dependency.requirement for dependency in _bringing(module, extra)] or [module]
        again = this_installation()
        # If one of its own imports is missing, install that and keep the rest.
        fix = again.install(absent) if _is_foreign(absent) else again.reinstall(wanted[0])
        raise MissingDependencyError(
            f"{module} is installed but not importable ({reason}); try: {fix.text}"
        ) from error


def missing_text(*modules: str, extra: str | None = None, is_sentence: bool = False) -> str:
    """Return what is missing and the command: "jinja2, which is not installed; install it: ...".

    Args:
        modules: Modules that are missing.
        extra: Extra of vsrc to install; see `require`.
        is_sentence: Whether it stands alone: "jinja2 is not installed; ...".
    """
    dependencies = {module: _bringing(module, extra) for module in modules}
    wanted = [dependency for several in dependencies.values() for dependency in several]
    extras = list(dict.fromkeys(dependency.extra for dependency in wanted if dependency.extra))
    here = this_installation()
    if all(dependencies.values()) and extras:
        command = here.install_extras(*extras, only=wanted)
    else:  # a dependency of vsrc itself, or none that it declares
        unnamed = [module for module, several in dependencies.items() if not several]
        command = here.install(*(dependency.requirement for dependency in wanted), *unnamed)
    several = len(modules) > 1
    verb, what = ("are", "them") if several else ("is", "it")
    names = " and ".join(filter(None, [", ".join(modules[:-1]), modules[-1]]))
    notes = [_other_onnxruntime()] if "onnxruntime" in modules else []
    notes += [TORCH_SOURCE] if "torch" in modules and not has_nvidia_gpu() else []
    said = "".join(f" ({note})" for note in notes)
    which = "" if is_sentence else ", which"
    return f"{names}{which} {verb} not installed{said}; install {what}: {command.text}"


def reinstall_module(module: str) -> Command:
    """Return the command that reinstalls the broken package of a module."""
    wanted = [dependency.requirement for dependency in _bringing(module, None)] or [module]
    return this_installation().reinstall(wanted[0])


def _other_onnxruntime() -> str:
    """Return a note on the build of ONNX Runtime that the command does not install."""
    _, other = onnxruntime_extras()
    (wanted,) = (dependency.requirement for dependency in _bringing("onnxruntime", other))
    where = "for NVIDIA GPUs" if other == "gpu" else "for the CPU alone"
    return f"{where} take {wanted}, the extra {other}, instead, never both"


def _bringing(module: str, extra: str | None) -> list[Dependency]:
    """Return the dependency that contains a module: of `extra` if it has it, else the first."""
    try:
        declared = [
            dependency
            for dependency in dependencies()
            if dependency.holds(module) and dependency.extra != "dev"
        ]
    except metadata.PackageNotFoundError:  # vsrc runs from a folder that pip does not know
        return []
    if module == "onnxruntime" and extra not in ("cpu", "gpu"):
        extra, _ = onnxruntime_extras()
    offered = [dependency.extra for dependency in declared]
    chosen = extra if extra in offered else next(iter(offered), None)
    return [dependency for dependency in declared if dependency.extra == chosen]


def _pip() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the shortest command that runs the pip of this Python, and options that it needs."""
    if not is_importable("pip") and (uv := shutil.which("uv")):  # uv environments lack pip
        return (Path(uv).name, "pip"), ("--python", sys.executable)
    paths = sysconfig.get_paths()
    # Marked as externally managed (PEP 668): whoever installed vsrc here has allowed pip before.
    is_managed = (
        sys.prefix == sys.base_prefix and Path(paths["stdlib"], "EXTERNALLY-MANAGED").exists()
    )
    target = ("--break-system-packages",) if is_managed else ()
    scripts = Path(paths["scripts"])
    program = shutil.which("pip")
    if program and Path(program).parent == scripts:
        return ("pip",), target
    # `python -m pip` would run a pip.py that lies where it is typed; pip's own program does not.
    own = scripts / "pip{}.{}".format(*sys.version_info)
    if own.is_file():
        return (str(own),), target
    safe_path = ("-P",) if sys.version_info >= (3, 11) else ()
    return (sys.executable, *safe_path, "-m", "pip"), target


def _is_foreign(module: str) -> bool:
    return bool(module) and module != "vsrc" and not is_importable(module)


def _source() -> Path | None:
    """Return the file or folder that pip recorded as the source of this copy (PEP 610), or None."""
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    url = urlsplit(json.loads(text)["url"]) if text else None
    return Path(url2pathname(url.path)) if url and url.scheme == "file" else None


def _short(path: Path) -> str:
    """Return a short form of a path, relative to the working directory where possible."""
    here = Path.cwd()
    return (
        "." if path == here else path.name if path.parent == here and path.is_file() else str(path)
    )
