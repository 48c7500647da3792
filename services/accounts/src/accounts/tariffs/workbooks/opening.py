"""Turns an uploaded workbook into lines of CSV; other files are left as they are."""

import asyncio
import sys
import tempfile
import zipfile
from typing import IO

from accounts.tariffs.workbooks import child
from ringfence_contracts.errors import BadInput

MAX_WORKBOOK = 50 * 1024 * 1024
MAX_UNPACKED = 500 * 1024 * 1024
"""Bytes that the parts of a workbook say they have, unpacked."""

MAX_PARTS = 5000
_WAIT_S = 90.0
_MARKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_TOO_LARGE = "a workbook that can be read within 60 s and 1 GB of memory: save the sheet as CSV"


async def opened(upload: IO[bytes], sheet: str | None, *, decimal_comma: bool) -> IO[bytes]:
    """The upload, or the sheet of the workbook that it is, as a file of CSV in UTF-8.

    Raises BadInput for a workbook that cannot be read within the limits.
    """
    upload.seek(0)
    mark = upload.read(4)
    if mark not in _MARKS:
        upload.seek(0)
        return upload
    _check_size(upload, zipped=mark == _MARKS[0])
    lines = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        await _convert(upload, lines, sheet or "", "," if decimal_comma else ".")
    except BaseException:
        lines.close()
        raise
    lines.seek(0)
    return lines


def _check_size(upload: IO[bytes], *, zipped: bool) -> None:
    size = upload.seek(0, 2)
    if size > MAX_WORKBOOK:
        expected = f"a workbook of at most {MAX_WORKBOOK} bytes; save the sheet as CSV"
        raise BadInput("tariff", f"{size} bytes", expected)
    if not zipped:
        return
    try:
        with zipfile.ZipFile(upload) as parts:
            sizes = [part.file_size for part in parts.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError):
        expected = "a whole workbook (xlsx, xls, ods), or CSV"
        raise BadInput("tariff", "a damaged workbook", expected) from None
    if len(sizes) > MAX_PARTS or sum(sizes) > MAX_UNPACKED:
        got = f"{sum(sizes)} bytes in {len(sizes)} parts"
        raise BadInput("tariff", got, _TOO_LARGE)


async def _convert(upload: IO[bytes], lines: IO[bytes], sheet: str, decimal: str) -> None:
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as source:
        upload.seek(0)
        while piece := upload.read(1024 * 1024):
            source.write(piece)
        source.seek(0)
        # Without the environment: the service's secrets are in it, and the file may be hostile.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", child.__name__, sheet, decimal,
            stdin=source, stdout=lines, stderr=errors, env={},
        )  # fmt: skip
        try:
            status = await asyncio.wait_for(process.wait(), _WAIT_S)
        except TimeoutError:
            raise BadInput("tariff", "a workbook", _TOO_LARGE) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status == 0:
            return
        errors.seek(0)
        words = errors.read(2000).decode("utf-8", "replace")
    got, bar, expected = words.partition("|")
    if status == child.REFUSED and bar:
        field = "sheet" if "sheet" in expected and "CSV" not in expected else "tariff"
        raise BadInput(field, got, expected)
    raise BadInput("tariff", "a workbook", _TOO_LARGE)
