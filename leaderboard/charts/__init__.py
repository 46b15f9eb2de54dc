"""Small charts in rows as SVG, large ones as Plotly's data, from finished numbers."""
