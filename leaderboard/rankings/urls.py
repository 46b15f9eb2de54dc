"""Addresses of the rankings."""

from django.urls import path

from leaderboard.rankings import views

urlpatterns = [
    path("", views.board, name="board"),
    path("boards/<slug:slug>/", views.board, name="board-of-pair"),
    path("boards/<slug:slug>.csv", views.board_csv, name="board-csv"),
]
