// Left and right go along a row of tabs or frames and choose; the focus stays when the server draws the row again.
let went = null;
element.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const from = event.target.closest("[role=tab], .hsae-frame");
  if (!step || !from) return;
  event.preventDefault();
  const row = [...from.parentElement.children];
  const to = row[(row.indexOf(from) + step + row.length) % row.length];
  went = to.dataset.value;
  to.focus();
  to.click();
});
watch("value", () => {
  const lost = document.activeElement === document.body || element.contains(document.activeElement);
  if (went && lost) requestAnimationFrame(() => element.querySelector(`[data-value="${went}"]`)?.focus());
});
