"""Addresses of the rankings."""

from django.urls import path

from leaderboard.rankings import interactive, published, views

urlpatterns = [
    path("", views.board, name="board"),
    path("boards/<slug:slug>/", views.board, name="board-of-pair"),
    path("boards/<slug:slug>.csv", views.board_csv, name="board-csv"),
    path("boards/<slug:slug>/charts/<slug:chart>/", interactive.of_board, name="board-chart"),
    path("methodology/", views.methodology, name="methodology"),
    path("models/<str:name>/", views.model, name="model"),
    path("families/<str:name>/", views.family, name="family"),
    path("published/", published.index, name="published-tables"),
    path("published/<slug:slug>/", published.page, name="published"),
    path("published/<slug:slug>.csv", published.as_csv, name="published-csv"),
    path(
        "published/<slug:slug>/charts/<slug:chart>/",
        interactive.of_published,
        name="published-chart",
    ),
]
