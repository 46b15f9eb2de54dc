"""Figures as SVG text and as Plotly's data, drawn from finished numbers."""
