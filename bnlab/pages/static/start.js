"use strict";
// Fills the sections of the page from their documents, and keeps them up to date where there is a server.
(() => {
  bnlab.theme.bind(document.getElementById("theme"));
  const section = document.querySelector("[data-section]");
  const show = (data) => bnlab.sections[section.dataset.section](section, data);
  show(bnlab.dom.block("data"));
  if (document.documentElement.dataset.mode === "served") bnlab.live.watch(show);
})();
