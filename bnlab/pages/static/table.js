"use strict";
// A table that sorts by its headings and shows a page of its rows at a time; both stand in the address.
(() => {
  const { element, keep } = bnlab.dom;
  const ROWS = [50, 100, 500];

  // `columns`: {key, label, number, wide, cell(row), sort(row)}. `keyOf(row)` tells rows apart.
  function make(parent, columns, keyOf, caption) {
    const head = element("tr");
    const body = element("tbody");
    const pagers = [pagerNode("above"), pagerNode("below")];
    const table = element("table", { class: "listing" }, element("caption", { class: "hidden" }, caption), element("thead", {}, head), body);
    parent.replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, table));
    parent.prepend(pagers[0]);
    parent.append(pagers[1]);
    let rows = [];

    function sorting() {
      const [key, way] = (bnlab.address.selection().get("sort") || "").split(".");
      const column = columns.find((one) => one.key === key);
      return { column, down: way === "down" };
    }

    function sorted() {
      const { column, down } = sorting();
      if (!column) return rows;
      const valueOf = column.sort || ((row) => row[column.key]);
      const order = column.number
        ? (a, b) => (valueOf(a) ?? -Infinity) - (valueOf(b) ?? -Infinity)
        : (a, b) => String(valueOf(a)).localeCompare(String(valueOf(b)), "en", { numeric: true });
      const placed = [...rows].sort(order);
      return down ? placed.reverse() : placed;
    }

    function drawHead() {
      const { column, down } = sorting();
      const cells = columns.map((one) => {
        const active = column === one;
        const way = active ? (down ? "descending" : "ascending") : null;
        const next = active ? (down ? "" : `${one.key}.down`) : `${one.key}.up`;
        const turn = () => {
          bnlab.address.select({ sort: next, page: "" });
          draw();
          head.querySelector(`[data-key="${one.key}"]`).focus();
        };
        const sign = element("span", { "aria-hidden": "true" }, active ? (down ? " ▼" : " ▲") : "");
        const button = element("button", { type: "button", class: "sort", "data-key": one.key, onclick: turn }, one.label, sign);
        return element("th", { scope: "col", "aria-sort": way, class: classes(one) }, one.label ? button : "");
      });
      head.replaceChildren(...cells);
    }

    // Links, so that a page can be opened beside this one and kept as a bookmark; followed without loading anything.
    function drawPager(pager, pages, current, size) {
      const go = (changes, word) => (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        bnlab.address.select(changes);
        draw();
        if (word) (pager.querySelector(`[data-to="${word}"]`) || pager.querySelector("a"))?.focus();
      };
      const link = (word, to) => {
        const changes = { page: to > 1 ? to : "" };
        const there = to >= 1 && to <= pages && to !== current;
        return there ? element("a", { class: "button", "data-to": word, href: bnlab.address.changed(changes), onclick: go(changes, word) }, word) : element("span", { class: "button off", "aria-hidden": "true" }, word);
      };
      const where = element("span", {}, `page ${current} of ${pages}`);
      const sizes = ROWS.filter((n, i) => i === 0 || rows.length > ROWS[i - 1]).map((n) => {
        const changes = { rows: n === ROWS[0] ? "" : n, page: "" };
        return n === size ? element("strong", {}, String(n)) : element("a", { href: bnlab.address.changed(changes), onclick: go(changes, "") }, String(n));
      });
      const steps = pages > 1 ? [link("First", 1), link("Previous", current - 1), where, link("Next", current + 1), link("Last", pages)] : [];
      pager.replaceChildren(...steps, ...(sizes.length > 1 ? [element("span", { class: "sizes dim" }, "rows ", sizes.flatMap((one) => [one, " "]))] : []));
    }

    function draw() {
      drawHead();
      const placed = sorted();
      const size = ROWS.find((n) => String(n) === bnlab.address.selection().get("rows")) || ROWS[0];
      const pages = Math.max(1, Math.ceil(placed.length / size));
      const current = Math.min(pages, Math.max(1, Math.floor(Number(bnlab.address.selection().get("page"))) || 1));
      const shown = placed.slice((current - 1) * size, current * size);
      keep(body, shown.map((row) => [keyOf(row), row]), drawRow);
      for (const pager of pagers) drawPager(pager, pages, current, size);
    }

    function drawRow(row) {
      const content = (one) => (one.cell ? one.cell(row) : String(row[one.key] ?? ""));
      return element("tr", {}, columns.map((one) => element("td", { class: `${classes(one) || ""} of-${one.key}`.trim(), "data-label": one.label }, content(one))));
    }

    return {
      show(found) {
        rows = found;
        draw();
      },
    };
  }

  const pagerNode = (where) => element("nav", { class: "pager", "aria-label": `Pages of the table, ${where}` });
  const classes = (column) => [column.number ? "number" : "", column.wide ? "wide" : "", column.class || ""].join(" ").trim() || null;

  // A table that only shows: heads are texts, cells texts or elements.
  function plain(heads, rows, caption) {
    const head = heads.map((text) => element("th", { scope: "col" }, text));
    const cellOf = (cell, i) => element("td", { "data-label": heads[i] }, cell);
    const body = rows.map((cells) => element("tr", {}, cells.map(cellOf)));
    const parts = [element("caption", { class: "hidden" }, caption), element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)];
    return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, element("table", {}, parts));
  }

  bnlab.table = { make, plain };
})();
