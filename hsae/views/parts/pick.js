// Anything with data-field and data-value inside this component chooses that value, by click, Enter or space.
// One choice at a time, in the order of the clicks: Gradio drops what is chosen while another answer is under way.
window.hsaeTurns ??= {
  waiting: [], sent: Date.now(), // until the page is loaded, which says what its link says
  take(field, send) {
    const late = Date.now() - this.sent > 20000; // an answer that never came holds nobody up
    if (late) return this.send({ send });
    const same = this.waiting.at(-1)?.field === field && !["feature", "keep", "mark"].includes(field);
    if (same) this.waiting.pop(); // of two layers only the second is still wanted, of two features to mark both are
    this.waiting.push({ field, send });
  },
  send(choice) { this.sent = Date.now(); choice.send(); },
  answered() {
    const next = this.waiting.shift();
    this.sent = next ? Date.now() : 0;
    if (next) setTimeout(() => this.send(next));
  },
};
const choose = (event) => {
  const chosen = event.target.closest("[data-field]");
  if (!chosen || !element.contains(chosen)) return;
  event.preventDefault();
  const { field, value } = chosen.dataset;
  hsaeTurns.take(field, () => trigger("select", { index: field, value }));
};
element.addEventListener("click", choose);
element.addEventListener("keydown", (event) => {
  const native = event.target.tagName === "BUTTON"; // the browser already turns its keys into clicks
  if (!native && (event.key === "Enter" || event.key === " ")) choose(event);
});
