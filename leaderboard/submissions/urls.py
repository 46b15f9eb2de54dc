"""Addresses of submissions and runs."""

from django.urls import path

from leaderboard.submissions import views

urlpatterns = [
    path("submit/", views.submit, name="submit"),
    path("mine/", views.mine, name="mine"),
    path("runs/<uuid:run_id>/", views.run, name="run"),
    path("runs/<uuid:run_id>/cancel/", views.cancel, name="cancel-run"),
    path("runs/<uuid:run_id>/requeue/", views.requeue, name="requeue-run"),
]
