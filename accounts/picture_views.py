"""Section 2.3 of the API: the profile picture."""

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from accounts import pictures
from accounts import serializers as s
from accounts.authentication import caller
from zinzino import clock
from zinzino.api.parsers import body_of
from zinzino.api.renderers import Message
from zinzino.api.schema import operation
from zinzino.api.uploads import FIELD, ONE_FILE, FileParser, require_multipart
from zinzino.api.views import ApiViewSet, Request, Response, said


class PictureViewSet(ApiViewSet):
    validation_status = 400
    parser_classes = (FileParser,)
    max_file_bytes = pictures.MAX_BYTES

    @operation("Upload your picture", request=ONE_FILE, response=s.Picture)
    def create(self, request: Request) -> Response:
        require_multipart(request)
        data = body_of(request).get(FIELD)
        if data is None:
            raise ValidationError({FIELD: [_("The file is missing.")]})
        picture, thumbnail = pictures.replace(caller(request).id, data, now=clock.now())
        return Response({"profile_picture": picture, "thumbnail": thumbnail})

    @operation("Remove your picture", response=Message)
    def destroy(self, request: Request) -> Response:
        pictures.clear(caller(request).id, now=clock.now())
        return said(_("Your profile picture has been removed."))
