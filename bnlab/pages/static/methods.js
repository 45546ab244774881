"use strict";
(() => {
  const { element } = bnlab.dom;

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    const text = data.sections.flatMap(({ title, paragraphs }) => [element("h2", {}, title), ...paragraphs.map((said) => element("p", {}, said))]);
    parts.text.replaceChildren(...text);
    const table = bnlab.table.plain(data.columns, data.rows, "settings");
    parts.settings.replaceChildren(element("h2", {}, "Settings"), table);
  }

  bnlab.sections = { ...bnlab.sections, methods: show };
})();
