from django.urls import path

from accounts import pages
from accounts.picture_views import PictureViewSet
from accounts.recovery_views import CredentialsViewSet, MailedTokenViewSet
from accounts.social_views import ProviderLinkViewSet, ProviderSignInViewSet
from accounts.views import LoginViewSet, LogoutViewSet, RegisterViewSet, SessionsViewSet, SupportCodeViewSet
from zinzino.api.views import route

urlpatterns = [
    route("auth/register", RegisterViewSet, "auth-register", post="create"),
    route("auth/login", LoginViewSet, "auth-login", post="create"),
    route("auth/refresh", LoginViewSet, "auth-refresh", post="refresh"),
    route("auth/logout", LogoutViewSet, "auth-logout", post="create"),
    route("auth/sessions", SessionsViewSet, "auth-sessions", get="list", delete="destroy_others"),
    route("auth/sessions/<id:session_id>", SessionsViewSet, "auth-session", delete="destroy"),
    route("auth/forgot-password", MailedTokenViewSet, "auth-forgot-password", post="forgot_password"),
    route("auth/reset-password", MailedTokenViewSet, "auth-reset-password", post="reset_password"),
    route("auth/verify-email", MailedTokenViewSet, "auth-verify-email", post="verify_email"),
    route("auth/resend-verification", CredentialsViewSet, "auth-resend", post="resend_verification"),
    route("auth/google", ProviderSignInViewSet, "auth-google", post="google"),
    route("auth/apple", ProviderSignInViewSet, "auth-apple", post="apple"),
    route("auth/link/google", ProviderLinkViewSet, "auth-link-google", post="link_google", delete="unlink_google"),
    route("auth/link/apple", ProviderLinkViewSet, "auth-link-apple", post="link_apple", delete="unlink_apple"),
    route("profile/picture", PictureViewSet, "profile-picture", post="create", delete="destroy"),
    route("profile/password", CredentialsViewSet, "profile-password", put="change_password"),
    route("profile/support-code", SupportCodeViewSet, "profile-support-code", post="create"),
    route("profile/email", CredentialsViewSet, "profile-email", post="change_email"),
]

# The pages that mails link to; not below the API's mounts.
page_urlpatterns = [
    path("verify-email", pages.VerifyEmailPage.as_view(), name="page-verify-email"),
    path("reset-password", pages.ResetPasswordPage.as_view(), name="page-reset-password"),
    path(".well-known/apple-app-site-association", pages.apple_app_site_association, name="apple-app-links"),
    path(".well-known/assetlinks.json", pages.android_asset_links, name="android-app-links"),
    path("undo-email-change", pages.UndoEmailChangePage.as_view(), name="page-undo-email-change"),
]
