"""Section 8: firmware of dispensers (iot.md 2)."""

from uuid import UUID

from django.core.files.storage import Storage
from django.http import HttpResponse, HttpResponseRedirect

from devices.credentials import dispenser
from devices.firmware import jobs, releases
from devices.firmware.models import FirmwareRelease
from devices.views import DeviceRoute
from telemetry import firmware_serializers as s
from telemetry import updates
from zinzino import clock
from zinzino.api.errors import ServiceUnavailable
from zinzino.api.ranges import file_response
from zinzino.api.schema import operation
from zinzino.api.views import Request, Response

VERIFIED = {"seq": 3, "state": "verified", "progress": 100}


class FirmwareViewSet(DeviceRoute):
    @operation("Is there new firmware for this dispenser?", query=s.CheckQuery, response=s.Checked, auth="device")
    def check(self, request: Request) -> Response:
        query = self.queried(s.CheckQuery, request)
        said = {"version": query.get("version"), "hardware": query.get("hw")}
        return Response(updates.answer(updates.check(dispenser(request), **said, now=clock.now())))

    @operation(
        "The image of a release",
        files=("application/octet-stream",),
        errors=(403, 404, 416),
        auth="device",
        description="The bytes themselves. `Range` (one range) answers 206 with that part, `If-Range` takes the "
        "ETag; with a bucket 302 leads to an address that is good for minutes: follow it without your token.",
    )
    def download(self, request: Request, release_id: UUID) -> HttpResponse:
        release = jobs.downloadable(release_id, dispenser(request).id)
        asked = {"range": request.headers.get("Range", ""), "if_range": request.headers.get("If-Range", "")}
        return image_response(releases.store(), release, asked)

    @operation(
        "Say how far an update has come",
        request=s.JobReport,
        response=s.JobTaken,
        errors=(403, 404),
        auth="device",
        example=VERIFIED,
    )
    def report(self, request: Request, job_id: UUID) -> Response:
        said = s.report_of(self.parsed(s.JobReport, request))
        job, cancel = updates.report(dispenser(request), job_id, said, now=clock.now())
        return Response({"state": job.status, "cancel": cancel})


def image_response(storage: Storage, release: FirmwareRelease, asked: dict[str, str]) -> HttpResponse:
    """From this disk, or by an address of the bucket for a few minutes."""
    try:
        storage.path(release.file)
    except NotImplementedError:
        return HttpResponseRedirect(storage.url(release.file))
    if not releases.intact(release.file, release.size):
        raise ServiceUnavailable
    name, file = f"{release.hardware}-{release.version}.bin", storage.open(release.file)
    response = file_response(file, size=release.size, etag=release.sha256, headers=asked, filename=name)
    response["Cache-Control"] = "private, no-transform"
    return response
