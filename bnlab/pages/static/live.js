"use strict";
// Asks for the page's document again every second while the page is looked at; unchanged documents are not sent.
(() => {
  const SECONDS = 1;
  const SECONDS_AFTER_FAILURE = 5;

  function watch(show) {
    const sign = document.getElementById("live");
    let tag = "";

    async function look() {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(bnlab.address.documentAddress(), { headers, cache: "no-store" });
      if (answer.status === 304) return "live";
      if (answer.status === 404) return "this is no longer in the results folder";
      if (!answer.ok) throw new Error(String(answer.status));
      const data = await answer.json();
      const first = tag === "";
      tag = answer.headers.get("ETag") || "";
      if (!first || answer.headers.get("ETag") !== bnlab.live.shown) show(data);
      return "live";
    }

    async function again() {
      let pause = SECONDS;
      if (document.visibilityState === "visible") {
        try {
          sign.textContent = await look();
        } catch {
          sign.textContent = "the server does not answer";
          pause = SECONDS_AFTER_FAILURE;
        }
      }
      sign.dataset.state = sign.textContent === "live" ? "live" : "away";
      setTimeout(again, 1000 * pause);
    }

    setTimeout(again, 1000 * SECONDS);
  }

  bnlab.live = { watch, shown: null };
})();
