"""``POST /api/pipelines/dispatch``: a file, a path or a provider becomes a pipeline, at once.

JSON: ``{"module", "year", "target"?, "data_entry_type"?, "unit"?}`` with ``"path"`` (below the
inputs folder of the server), or ``"provider"`` (by name), or ``"recalculate": true``. Multipart:
the same fields, with the upload as ``file``.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Response, post
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType

from handlers.emissions.service import (
    DispatchError,
    dispatch_api,
    dispatch_ingest,
    dispatch_recalculation,
)
from handlers.gateway import Gateway
from handlers.http.auth import operator_of, require_tenant
from handlers.http.pipeline_access import Asked, available, connection, gateway_of, refused
from handlers.http.pipeline_shapes import Dispatched, DispatchWish
from handlers.jobs.engine import read_providers
from pipelines import Submitted
from pipelines.storage.jobs import get_job

_FILE: Final = "file"


@post("/dispatch", status_code=202)
async def dispatch(request: Asked) -> Response[Dispatched]:
    """Start a pipeline and answer 202 with its id, before any of its work is done.

    400 for a body that cannot be read, 403 for another tenant's unit, 404 for a path that is not
    there, 413 for one that is too large, 422 for what makes no sense.
    """
    user, gateway = operator_of(request), gateway_of(request)
    wanted, upload = await _read(request)
    # What is nobody's in particular changes everybody's totals; operators may, whose ever they are.
    require_tenant(user, wanted.unit)
    async with connection(gateway):
        pass  # the engine runs and its database is there, else 503
    try:
        with available():
            submitted = await _submit(gateway, wanted, upload)
    except DispatchError as error:
        raise refused(422, f"{error.field} {error.reason}") from None
    async with connection(gateway) as lent:
        job = await get_job(lent, submitted.job_id)
    return Response(
        Dispatched(
            pipeline_id=submitted.pipeline_id,
            job_id=submitted.job_id,
            joined=submitted.joined,
            state=None if job is None else job.state,
            message="joined a job under way" if submitted.joined else "accepted",
        )
    )


async def _read(request: Asked) -> tuple[DispatchWish, tuple[str, bytes] | None]:
    kind = request.content_type[0]
    if kind == RequestEncodingType.MULTI_PART:
        form = await request.form()
        values: dict[str, Any] = {}
        upload: tuple[str, bytes] | None = None
        for name, value in form.items():
            if name == _FILE and isinstance(value, UploadFile):
                upload = (value.filename, await value.read())
            else:
                values[name] = value
        return _convert(values, strict=False), upload
    try:
        return _convert(msgspec.json.decode(await request.body()), strict=True), None
    except msgspec.DecodeError as error:
        raise refused(400, f"The body is no JSON: {error}.") from None


def _convert(values: Any, *, strict: bool) -> DispatchWish:
    try:
        return msgspec.convert(values, DispatchWish, strict=strict)
    except msgspec.ValidationError as error:
        raise refused(422, str(error)) from None


async def _submit(
    gateway: Gateway, wanted: DispatchWish, upload: tuple[str, bytes] | None
) -> Submitted:
    given = [upload is not None, wanted.path is not None, wanted.provider is not None]
    if sum([*given, wanted.recalculate]) != 1:
        raise refused(422, "Give exactly one of file, path, provider and recalculate.")
    engine = gateway.engine
    if upload is None and wanted.path is None:
        if wanted.target != "data":
            raise DispatchError("target", "is of files only")
        if wanted.module is None or wanted.year is None:
            raise refused(422, "module and year are needed.")
        if wanted.provider is not None:
            if wanted.provider not in read_providers(gateway.settings.pipelines_providers):
                raise DispatchError("provider", "is not configured")
            return await dispatch_api(
                engine,
                wanted.provider,
                module=wanted.module,
                year=wanted.year,
                data_entry_type=wanted.data_entry_type,
                unit=wanted.unit,
            )
        if wanted.unit is not None:
            raise DispatchError("unit", "cannot be recalculated alone")
        types = None if wanted.data_entry_type is None else (wanted.data_entry_type,)
        return await dispatch_recalculation(
            engine, module=wanted.module, year=wanted.year, data_entry_types=types
        )
    name, content = upload or await _from_folder(gateway, wanted.path or "")
    return await dispatch_ingest(
        engine,
        content,
        file_name=name,
        target=wanted.target,
        module=wanted.module,
        year=wanted.year,
        data_entry_type=wanted.data_entry_type,
        unit=wanted.unit,
    )


async def _from_folder(gateway: Gateway, path: str) -> tuple[str, bytes]:
    """Read a file of the inputs folder; whatever leads out of it is not there."""
    folder = gateway.settings.pipelines_inputs
    if not folder:
        raise refused(422, "This server takes no paths; upload the file.")
    return await asyncio.to_thread(_load, Path(folder), path, gateway.settings)


def _load(folder: Path, path: str, settings: Any) -> tuple[str, bytes]:
    try:
        root = folder.resolve(strict=True)
        file = (root / path).resolve(strict=True)
        if not file.is_relative_to(root) or not file.is_file():
            raise refused(404, "There is no such file.")
        if file.stat().st_size > settings.pipelines_max_upload_bytes:
            raise refused(413, "The file is too large.")
        return file.name, file.read_bytes()
    except (OSError, ValueError):
        raise refused(404, "There is no such file.") from None
