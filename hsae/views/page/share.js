// Copies the link of the view, and saves the picture that the server has drawn of it.
const copy = element.querySelector("[data-copy]");
copy.addEventListener("click", async () => {
  const told = copy.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    copy.textContent = "copied";
  } catch {
    window.prompt("The link of this view:", location.href); // an iframe may not be allowed to
  }
  setTimeout(() => (copy.textContent = told), 1500);
});
element.querySelector("[data-picture]").addEventListener("click", () => trigger("submit"));
watch("value", () => {
  if (!props.value || !props.value.picture) return;
  const link = document.createElement("a");
  link.href = props.value.picture;
  link.download = props.value.name;
  link.click();
});
