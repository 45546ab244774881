"use strict";
// The pages of a report: everything lies in the file, and what stands behind the # says which page is shown.
(() => {
  const { element } = bnlab.dom;
  const documents = bnlab.dom.block("documents");
  const main = document.getElementById("main");
  let shown = null;

  // Figures are packed vector graphics, made into addresses that exist as long as the page.
  async function unpack({ type, packed, content }) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const plain = packed ? new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")) : bytes;
    return URL.createObjectURL(new Blob([await new Response(plain).arrayBuffer()], { type }));
  }

  async function unpackAll() {
    const found = bnlab.dom.block("figures");
    bnlab.pictures = new Map(await Promise.all(found.map(async (one) => [one.names.map(encodeURIComponent).join("/"), await unpack(one)])));
  }

  function wanted() {
    const { at, query } = bnlab.address.here();
    const [, page, name] = at.split("/");
    if (page !== "experiment") return { page: page || "overview", document: documents[page || "overview"] };
    const setting = new URLSearchParams(query).get("setting");
    const same = documents.experiments.filter((one) => encodeURIComponent(one.name) === name);
    return { page, document: same.find((one) => one.setting === setting) || same[0] };
  }

  function chosenOf(list, key) {
    const asked = bnlab.address.selection().get(key);
    return list.find((one) => one[key] === asked) || list[0];
  }

  // Of an experiment the charts that were chosen, of those that lie in the report.
  function narrowed({ page, document }) {
    if (page !== "experiment" || !document.setting) return document;
    const asked = bnlab.address.selection().getAll("metric").filter((metric) => document.metrics.includes(metric));
    const chosen = asked.length ? [...new Set(asked)] : document.chosen;
    const charts = chosen.map((metric) => document.charts.find((one) => one.metric === metric));
    return { ...document, chosen, charts, distributions: chosenOf(document.distributions, "quantity"), families: chosenOf(document.families, "family") };
  }

  function draw() {
    const { page, section, document } = shown;
    bnlab.sections[page](section, narrowed({ page, document }));
  }

  function about({ fixed }) {
    return fixed ? element("p", { class: "dim" }, `Curves are those at ${fixed}; the dashboard shows the others.`) : "";
  }

  function open() {
    if (location.hash === "#main") return main.focus();
    const { page, document: found } = wanted();
    const template = document.getElementById(`section-${page}`);
    if (!found || !template) {
      main.replaceChildren(element("p", { class: "notice" }, "This report holds no such page."));
      return;
    }
    const section = template.content.firstElementChild.cloneNode(true);
    shown = { page, section, document: found };
    main.replaceChildren(section);
    draw();
    bnlab.dom.parts(section).curves?.before(about(found));
    for (const link of document.querySelectorAll(".top nav a")) {
      if (link.dataset.page === page) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${section.querySelector("h1").textContent} · bnlab report`;
    if (!bnlab.address.selection().has("figure")) scrollTo(0, 0);
  }

  async function start() {
    bnlab.theme.bind(document.getElementById("theme"));
    await unpackAll();
    open();
    addEventListener("hashchange", open);
  }

  bnlab.live = { now: draw };
  start();
})();
