"""Addresses of pairs of sets that need no runs; the others are in ``submissions.urls``."""

from django.urls import path

from leaderboard.benchmarks import views

urlpatterns = [
    path("sets/", views.sets, name="sets"),
    path("sets/register/", views.register, name="register-set"),
    path("sets/<slug:slug>/release/successor/", views.name_successor, name="name-successor"),
    path("sets/<slug:slug>/release/season/", views.open_season, name="open-season"),
    path("sets/<slug:slug>/release/files/<path:name>", views.release_file, name="release-file"),
    path("sets/<slug:slug>/release/bundle.tar", views.release_archive, name="release-archive"),
]
