"""Section 7 of the API: notifications."""

from uuid import UUID

from django.utils.translation import gettext as _

from accounts.authentication import caller
from notifications import serializers as s
from notifications import services, sql
from zinzino import clock
from zinzino.api.fields import span
from zinzino.api.pagination import page
from zinzino.api.renderers import Message, raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response, said


class NotificationsViewSet(ApiViewSet):
    @operation("Your notifications, newest first", query=s.ListQuery, response=s.NotificationList)
    def list(self, request: Request) -> Response:
        query = self.queried(s.ListQuery, request)
        user = caller(request)
        place = {name: query.pop(name) for name in ("limit", "offset", "cursor") if name in query}
        bounds = span(query.pop("start_date"), query.pop("end_date"), user.timezone)
        rows, pagination, unread = page(sql.NEWEST, {"user_id": user.id, **query, **bounds}, **place)
        return Response({"notifications": rows, "unread_count": unread, "pagination": pagination})

    @operation("How many wait to be read", response=s.UnreadCount)
    def unread_count(self, request: Request) -> Response:
        by_type = sql.unread_by_type(caller(request).id)
        return Response({"unread_count": sum(by_type.values()), "by_type": by_type})

    @operation("Mark all as read", request=s.ReadAll, response=s.Marked)
    def read_all(self, request: Request) -> Response:
        chosen = self.parsed(s.ReadAll, request)
        marked = services.mark_all_read(caller(request).id, now=clock.now(), **chosen)
        return Response({"marked_count": marked})

    @operation("Delete all that you have read", query=s.DeleteQuery, response=s.Deleted)
    def destroy_read(self, request: Request) -> Response:
        self.queried(s.DeleteQuery, request)
        return Response({"deleted_count": services.delete_read(caller(request).id)})


class NotificationViewSet(ApiViewSet):
    @operation("One notification", response=s.Notification, errors=(403, 404))
    def retrieve(self, request: Request, notification_id: UUID) -> Response:
        found = sql.notification(notification_id)
        return Response(raw(services.visible(found, to=caller(request).id)))

    @operation("Mark as read", response=Message, errors=(403, 404))
    def read(self, request: Request, notification_id: UUID) -> Response:
        services.mark_read(notification_id, caller(request).id, now=clock.now())
        return said(_("The notification has been marked as read."))

    @operation("Delete a notification", response=Message, errors=(403, 404))
    def destroy(self, request: Request, notification_id: UUID) -> Response:
        services.delete(notification_id, caller(request).id)
        return said(_("The notification has been deleted."))
