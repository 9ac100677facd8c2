from syncapi.views import SyncViewSet
from zinzino.api.views import route

urlpatterns = [
    route("sync/full", SyncViewSet, "sync-full", post="full"),
    route("sync/delta", SyncViewSet, "sync-delta", post="delta"),
]
