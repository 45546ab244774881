"use strict";
// Elements made of text and attributes. Nothing is ever parsed as HTML, so that no name can become markup.
(() => {
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : String(value));
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  // An inline SVG element, for marks too small to be charts.
  function drawn(tag, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    made.append(...children);
    return made;
  }

  function parts(section) {
    return Object.fromEntries([...section.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
  }

  function block(id) {
    return JSON.parse(document.getElementById(id).textContent);
  }

  // Children by key: those whose content did not change stay, and with them focus, selection and scrolling.
  function keep(parent, items, make) {
    const known = parent.bnlabItems || new Map();
    const present = new Map();
    const children = items.map(([key, item]) => {
      const content = JSON.stringify(item);
      const old = known.get(key);
      const node = old && old.content === content ? old.node : make(item, old && old.node);
      present.set(key, { content, node });
      return node;
    });
    const same = children.length === parent.childNodes.length && children.every((c, i) => c === parent.childNodes[i]);
    if (!same) parent.replaceChildren(...children);
    parent.bnlabItems = present;
  }

  bnlab.dom = { element, drawn, parts, block, keep };
})();
