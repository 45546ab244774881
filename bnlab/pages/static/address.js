"use strict";
// Addresses of pages and figures, and the selection of a page, which lives in its address.
(() => {
  const REPORT = document.documentElement.dataset.mode === "report";
  const START = REPORT ? "#" : "";
  const path = (...names) => names.map(encodeURIComponent).join("/");

  function withQuery(address, query) {
    const text = new URLSearchParams(query).toString();
    return START + (text ? `${address}?${text}` : address);
  }

  const page = {
    experiment: (name, query = {}) => withQuery(`/experiment/${path(name)}`, query),
    claims: (query = {}) => withQuery("/claims", query),
    runs: (query = {}) => withQuery("/runs", query),
    run: (...key) => withQuery(`/run/${path(...key)}`),
    compare: (keys) => withQuery("/compare", keys.map((key) => ["run", key.join("/")])),
  };

  // In a report, one file, what stands behind the # takes the place of path and query.
  function here() {
    const [at, query = ""] = REPORT ? location.hash.slice(1).split("?") : [location.pathname, location.search.slice(1)];
    return { at: at || "/", query };
  }

  function figure(experiment, setting, name, format, save = false) {
    if (REPORT) return bnlab.pictures.get(path(experiment, setting, name));
    return `/figure/${path(experiment, setting, `${name}.${format}`)}${save ? "?save" : ""}`;
  }

  function selection() {
    return new URLSearchParams(here().query);
  }

  // The address of this page with another selection.
  function changed(changes) {
    const query = selection();
    for (const [key, value] of Object.entries(changes)) {
      query.delete(key);
      const values = Array.isArray(value) ? value : [value];
      for (const one of values) if (one !== "" && one !== null && one !== undefined) query.append(key, one);
    }
    const text = query.toString();
    return START + here().at + (text ? `?${text}` : "") + (REPORT ? "" : location.hash);
  }

  function select(changes) {
    history.replaceState(null, "", changed(changes));
  }

  function documentAddress() {
    return `/data${location.pathname === "/" ? "" : location.pathname}${location.search}`;
  }

  // The token came in the address once; from now on a cookie carries it, and no bookmark should.
  if (selection().has("token")) select({ token: "" });

  bnlab.address = { REPORT, page, figure, here, selection, changed, select, documentAddress };
})();
