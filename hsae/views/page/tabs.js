// A tab opens at once, in the browser; what is in it follows from the server.
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[role=tab]");
  if (!chosen) return;
  for (const tab of element.querySelectorAll("[role=tab]")) tab.setAttribute("aria-selected", String(tab === chosen));
});
