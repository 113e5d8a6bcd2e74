// Plays the film: each frame is brought forward for half a second, from the first layer to the last.
element.addEventListener("click", (event) => {
  const film = element.querySelector(".hsae-film");
  if (!event.target.closest("[data-play]") || !film || film.classList.contains("playing")) return;
  const frames = [...film.querySelectorAll(".hsae-frame")];
  film.classList.add("playing");
  const show = (at) => {
    frames.forEach((frame, place) => frame.classList.toggle("now", place === at));
    if (at === frames.length) return film.classList.remove("playing");
    frames[at].scrollIntoView({ block: "nearest", inline: "nearest" });
    setTimeout(show, 450, at + 1);
  };
  show(0);
});
