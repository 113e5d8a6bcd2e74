// Masks of the film, one per layer, for every frame there is and will be: a frame asks for its own by its number.
const dim = () => {
  const masks = (props.value && props.value.masks) || [];
  const style = document.documentElement.style;
  for (const name of [...style].filter((name) => name.startsWith("--film-mask-"))) style.removeProperty(name);
  masks.forEach((uri, at) => style.setProperty(`--film-mask-${at}`, `url(${uri})`));
};
watch("value", dim);
dim();
