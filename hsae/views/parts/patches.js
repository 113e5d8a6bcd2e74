// props.value: {photo: data URI, rows, cols, chosen: [patch numbers, row by row]}
const photo = element.querySelector("img"), canvas = element.querySelector("canvas"), read = element.querySelector("p");
let chosen = new Set(), cursor = 0, from = null, over = null, painted = null, timer = null;
let sent = { value: "", at: 0, answered: true }; // the latest choice that the server was told of
const data = () => (props.value && props.value.rows ? props.value : { photo: "", rows: 1, cols: 1, chosen: [] });
const style = (name, fallback) => getComputedStyle(element).getPropertyValue(name).trim() || fallback;

function take() {
  const { photo: uri, rows, cols, chosen: given } = data(), same = photo.src === uri;
  photo.src = uri || "data:,"; cursor = Math.min(cursor, rows * cols - 1);
  sent.answered ||= given.join(".") === sent.value || Date.now() - sent.at > 3000;
  if (!same || (sent.answered && timer === null)) chosen = new Set(given); // else it answers a former click
  draw();
}
function line(a, b) { // the patches from one to another, so that a fast hand leaves no gaps
  const { cols } = data(), [r, c, down, right] = [Math.floor(a / cols), a % cols, Math.floor(b / cols), b % cols];
  const steps = Math.max(Math.abs(down - r), Math.abs(right - c), 1);
  return Array.from({ length: steps + 1 }, (_, at) =>
    Math.round(r + ((down - r) * at) / steps) * cols + Math.round(c + ((right - c) * at) / steps));
}
function box(a, b) { // the patches of the rectangle between two corners
  const { cols } = data(), found = [];
  const [top, bottom] = [Math.floor(a / cols), Math.floor(b / cols)].sort((x, y) => x - y);
  const [left, right] = [a % cols, b % cols].sort((x, y) => x - y);
  for (let row = top; row <= bottom; row++) for (let col = left; col <= right; col++) found.push(row * cols + col);
  return found;
}
function draw() {
  const side = canvas.clientWidth, { rows, cols } = data();
  if (!side) return; // not on screen yet; the observer below calls again
  const ratio = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  canvas.width = canvas.height = side * ratio; pen.scale(ratio, ratio);
  const w = side / cols, h = side / rows, pending = new Set(from === null ? [] : painted ?? box(from, over));
  for (let patch = 0; patch < rows * cols; patch++) {
    const x = (patch % cols) * w, y = Math.floor(patch / cols) * h;
    pen.strokeStyle = "rgb(255 255 255 / 35%)"; pen.lineWidth = 1; pen.strokeRect(x, y, w, h);
    if (!chosen.has(patch) && !pending.has(patch)) continue;
    pen.fillStyle = "rgb(0 114 178 / 35%)"; pen.fillRect(x, y, w, h);
    pen.strokeStyle = "#fff"; pen.lineWidth = 3; pen.strokeRect(x + 1.5, y + 1.5, w - 3, h - 3);
    pen.strokeStyle = "#0072b2"; pen.lineWidth = 1.5; pen.strokeRect(x + 1.5, y + 1.5, w - 3, h - 3);
  }
  if (document.activeElement === canvas) {
    pen.strokeStyle = style("--hsae-s1", "#d55e00"); pen.lineWidth = 3;
    pen.strokeRect((cursor % cols) * w + 1.5, Math.floor(cursor / cols) * h + 1.5, w - 3, h - 3);
  }
}
function say() {
  const { rows, cols } = data();
  read.textContent = `Row ${Math.floor(cursor / cols) + 1} of ${rows}, column ${(cursor % cols) + 1} of ${cols}, `
    + `${chosen.has(cursor) ? "chosen" : "not chosen"}; ${chosen.size} chosen in all.`;
}
function send() {
  draw(); say(); clearTimeout(timer);
  timer = setTimeout(() => { // the first click goes at once, those that follow it quickly go together
    const value = [...chosen].sort((a, b) => a - b).join(".");
    sent = { value, at: Date.now(), answered: false }; timer = null;
    hsaeTurns.take("patches", () => trigger("select", { index: "patches", value }));
  }, Math.max(0, sent.at + 250 - Date.now()));
}
function toggle(patches) {
  const all = patches.every((patch) => chosen.has(patch));
  for (const patch of patches) all ? chosen.delete(patch) : chosen.add(patch);
  send();
}
function at(event) {
  const { rows, cols } = data(), frame = canvas.getBoundingClientRect();
  const place = (part, size, n) => Math.min(n - 1, Math.max(0, Math.floor((part / size) * n)));
  return place(event.clientY - frame.top, frame.height, rows) * cols + place(event.clientX - frame.left, frame.width, cols);
}
canvas.addEventListener("pointerdown", (event) => {
  from = over = cursor = at(event);
  painted = event.shiftKey ? null : new Set([from]);
  canvas.setPointerCapture(event.pointerId);
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (from === null) return;
  const to = at(event);
  if (painted) for (const patch of line(over, to)) painted.add(patch);
  over = to;
  draw();
});
canvas.addEventListener("pointerup", () => {
  if (from === null) return;
  const patches = [...(painted ?? box(from, over))];
  from = null;
  toggle(patches);
});
canvas.addEventListener("pointercancel", () => { from = null; draw(); });
canvas.addEventListener("keydown", (event) => {
  const { rows, cols } = data(), row = Math.floor(cursor / cols), col = cursor % cols;
  const to = { ArrowLeft: [row, col - 1], ArrowRight: [row, col + 1], ArrowUp: [row - 1, col], ArrowDown: [row + 1, col] }[event.key];
  if (to) { if (to[0] >= 0 && to[0] < rows && to[1] >= 0 && to[1] < cols) cursor = to[0] * cols + to[1]; draw(); say(); }
  else if (event.key === " " || event.key === "Enter") toggle([cursor]);
  else if (event.key === "Escape") { chosen.clear(); send(); }
  else return;
  event.preventDefault();
});
for (const name of ["focus", "blur"]) canvas.addEventListener(name, draw);
watch("value", take);
new ResizeObserver(draw).observe(canvas);
take();
