// Anything with data-field and data-value inside this component chooses that value, by click, Enter or space.
const choose = (event) => {
  const chosen = event.target.closest("[data-field]");
  if (!chosen || !element.contains(chosen)) return;
  event.preventDefault();
  trigger("select", { index: chosen.dataset.field, value: chosen.dataset.value });
};
element.addEventListener("click", choose);
element.addEventListener("keydown", (event) => {
  const native = event.target.tagName === "BUTTON"; // the browser already turns its keys into clicks
  if (!native && (event.key === "Enter" || event.key === " ")) choose(event);
});
