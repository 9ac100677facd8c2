from notifications.views import NotificationsViewSet, NotificationViewSet
from zinzino.api.views import route

urlpatterns = [
    route("notifications", NotificationsViewSet, "notifications", get="list"),
    route("notifications/unread-count", NotificationsViewSet, "notifications-unread", get="unread_count"),
    route("notifications/read-all", NotificationsViewSet, "notifications-read-all", put="read_all"),
    route("notifications/mark-all-read", NotificationsViewSet, "notifications-mark-all-read", post="read_all"),
    route("notifications/<id:notification_id>", NotificationViewSet, "notification", delete="destroy"),
    route("notifications/<id:notification_id>/read", NotificationViewSet, "notification-read", put="read"),
]
