// Draws the figure of a chart page with Plotly, in the colours of the style sheet. Without it the table holds the data.
"use strict";

const place = document.querySelector("[data-plot]");
const given = JSON.parse(document.getElementById(place.dataset.plot).textContent);
const probe = document.head.appendChild(document.createElement("i"));
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const TONES = { hot: "hot", warm: "warm", cool: "cool", open: "cool", prv: "prv", mut: "mut", edge: "edge" };
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

// Return the colour of a role of the style sheet, light or dark.
const colour = (role) => {
  probe.style.color = `var(--${role})`;
  return getComputedStyle(probe).color;
};

const painted = (trace) => {
  const own = colour(TONES[trace.meta]);
  const marks = { ...trace.marker, color: own, line: { width: 1.5, color: own } };
  const bars = trace.error_x && { ...trace.error_x, color: own, thickness: 1.5, width: 3 };
  return { ...trace, marker: marks, line: { width: 1.8, ...trace.line, color: own }, ...(bars && { error_x: bars }) };
};

const frame = (axis) => ({
  ...axis,
  color: colour("mut"),
  gridcolor: colour("line"),
  zerolinecolor: colour("edge"),
  fixedrange: axis.fixedrange ?? false,
});

const laid = (layout) => ({
  ...layout,
  xaxis: frame(layout.xaxis),
  yaxis: frame(layout.yaxis),
  paper_bgcolor: colour("card"),
  plot_bgcolor: colour("card"),
  font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
  hoverlabel: { bgcolor: colour("bg"), bordercolor: colour("edge"), font: { color: colour("ink") }, align: "left" },
  modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("mut"), activecolor: colour("ink") },
});

const draw = () => Plotly.react(place, given.data.map(painted), laid(given.layout), CONFIG);
place.replaceChildren();
draw();
dark.addEventListener("change", draw);
