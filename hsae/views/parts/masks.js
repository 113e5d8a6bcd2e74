// Masks for pictures there are and will be: a picture asks for its own by the name of a variable.
let names = [];
const dim = () => {
  const masks = (props.value && props.value.masks) || {};
  const style = document.documentElement.style;
  names.filter((name) => !(name in masks)).forEach((name) => style.removeProperty(name));
  names = Object.keys(masks);
  names.forEach((name) => style.setProperty(name, `url(${masks[name]})`));
};
watch("value", dim);
dim();
