"""Addresses of accounts."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from leaderboard.accounts import views

urlpatterns = [
    path("healthz", views.health, name="health"),
    path("accounts/sign-in/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/sign-out/", LogoutView.as_view(), name="logout"),
    path("accounts/sign-up/", views.sign_up, name="sign-up"),
    path("accounts/tokens/", views.tokens, name="tokens"),
    path("accounts/tokens/<int:token>/revoke/", views.revoke, name="revoke-token"),
]
