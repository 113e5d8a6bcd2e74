// props.value: {points: [[latent, height, coverage, frequency, label, notByChance, lineage]], words: {height: word},
// lineages: [text], selected}
const canvas = element.querySelector("canvas"), read = element.querySelector(".hsae-read");
const LEFT = 48, RIGHT = 12, TOP = 30, BOTTOM = 74, NEAR = 14;
let places = [], current = null;

const find = element.querySelector("[type=search]"), tested = element.querySelector("[type=checkbox]");
const low = element.querySelector(".low"), high = element.querySelector(".high"), shown = element.querySelector("output");
const data = () => (props.value && props.value.points ? props.value : { points: [], words: {}, lineages: [], selected: null });
const wanted = (p) => {
  const text = find.value.trim().toLowerCase();
  const named = !text || String(p[0]) === text || p[4].toLowerCase().includes(text) || (data().lineages[p[6]] || "").includes(text);
  return named && (!tested.checked || p[5] === true) && p[1] >= Number(low.value || 0) && p[1] <= Number(high.value || 99);
};
const style = (name, fallback) => getComputedStyle(element).getPropertyValue(name).trim() || fallback;
// The same feature always lands on the same spot: jitter from its number, within +-0.35 of its height.
const jitter = (latent) => (((latent * 2654435761) >>> 8) % 1000) / 1000 * 0.7 - 0.35;

function draw() {
  const width = canvas.parentElement.clientWidth, height = width < 500 ? 340 : 420;
  if (!width) return; // not on screen yet; the observer below calls again
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = height + "px";
  const pen = canvas.getContext("2d"), { points, words, selected } = data();
  pen.scale(ratio, ratio);
  const kept = points.filter(wanted);
  shown.textContent = `${kept.length} of ${points.length} shown`;
  const ink = style("--body-text-color", "#333"), faint = style("--border-color-primary", "#ddd");
  const last = Math.max(5, ...points.map((p) => p[1])) + 0.6;
  const x = (h) => LEFT + (width - LEFT - RIGHT) * (h + 0.5) / (last + 0.5);
  const y = (c) => TOP + (height - TOP - BOTTOM) * (1 - c);
  axes(pen, x, y, last, words, ink, faint, width, height);
  places = kept.map((p) => ({ p, x: x(p[1] + jitter(p[0])), y: y(p[2]), r: 3 + 22 * Math.sqrt(Math.min(p[3], 0.2)) }));
  for (const place of places) dot(pen, place, place.p[5] === false ? faint : style("--hsae-dot", "#0072b2"), 0.62);
  const chosen = places.find((place) => place.p[0] === selected);
  if (chosen) ring(pen, chosen, ink, 2);
  if (current !== null && places[current]) ring(pen, places[current], style("--hsae-s1", "#d55e00"), 3);
}

function axes(pen, x, y, last, words, ink, faint, width, height) {
  pen.font = "12px " + style("--font", "sans-serif"); pen.strokeStyle = faint; pen.fillStyle = ink; pen.textAlign = "right";
  for (const c of [0, 0.25, 0.5, 0.75, 1]) {
    pen.beginPath(); pen.moveTo(LEFT, y(c)); pen.lineTo(width - RIGHT, y(c)); pen.stroke();
    pen.fillText(c * 100 + " %", LEFT - 6, y(c) + 4);
  }
  pen.textAlign = "center";
  const room = x(1) - x(0), fits = Math.ceil(70 / room);
  for (let h = 0; h <= last; h++) {
    pen.fillText(String(h), x(h), height - BOTTOM + 16);
    const word = words[h]; // every second word one line lower, so that neighbours do not touch
    if (word && (fits < 3 || h % fits === 0)) pen.fillText(word.slice(0, Math.floor(room * 2 * fits / 7)), x(h), height - BOTTOM + (h % 2 ? 44 : 31));
  }
  pen.fillText("height: how far up WordNet the classes meet  →", (LEFT + width) / 2, height - 6);
  pen.textAlign = "left"; pen.fillText("coverage ↑", 2, 14);
}
function dot(pen, { x, y, r }, colour, alpha) {
  pen.globalAlpha = alpha; pen.fillStyle = colour;
  pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.fill(); pen.globalAlpha = 1;
}
function ring(pen, { x, y, r }, colour, width) {
  pen.strokeStyle = colour; pen.lineWidth = width;
  pen.beginPath(); pen.arc(x, y, r + 3, 0, 7); pen.stroke(); pen.lineWidth = 1;
}
function point(at) {
  current = at;
  const p = at === null ? null : places[at].p;
  read.textContent = p ? `${p[4]} (no. ${p[0]}): height ${p[1]}, coverage ${(p[2] * 100).toFixed(0)} %, fires on ${(p[3] * 100).toFixed(1)} % of images. Enter or click opens it.` : "";
  draw();
}
function nearest(event) {
  const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
  let best = null, least = Infinity;
  places.forEach(({ x, y, r }, at) => {
    const gap = Math.hypot(x - px, y - py) - r;
    if (gap < least && gap < NEAR) { best = at; least = gap; }
  });
  return best;
}
const open = () => { 
  if (current === null) return;
  const value = String(places[current].p[0]);
  hsaeTurns.take("latent", () => trigger("select", { index: "latent", value }));
};
// Left and right walk the features from left to right, up and down from bottom to top.
function step(axis, by) {
  const order = places.map((_, at) => at).sort((a, b) => places[a][axis] - places[b][axis] || a - b);
  const start = current ?? places.findIndex((place) => place.p[0] === data().selected);
  const from = order.indexOf(start);
  if (order.length) point(order[from < 0 ? 0 : (from + by + order.length) % order.length]);
}
const KEYS = { ArrowRight: ["x", 1], ArrowLeft: ["x", -1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] };

canvas.addEventListener("mousemove", (event) => { const at = nearest(event); canvas.style.cursor = at === null ? "" : "pointer"; if (at !== current) point(at); });
canvas.addEventListener("mouseleave", () => point(null));
canvas.addEventListener("click", (event) => { const at = nearest(event); if (at !== null) { point(at); open(); } });
canvas.addEventListener("keydown", (event) => {
  if (KEYS[event.key]) { event.preventDefault(); step(...KEYS[event.key]); }
  else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
});
const redraw = () => { current = null; draw(); };
element.querySelector(".hsae-filters").addEventListener("input", redraw);
watch("value", redraw);
new ResizeObserver(draw).observe(canvas.parentElement);
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light or dark
draw();
