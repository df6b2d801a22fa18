"use strict";
{
  const box = document.querySelector(".comparator");
  const stage = box.querySelector(".stage");
  const range = stage.querySelector("input");
  const divider = stage.querySelector(".divider");
  const figures = [...stage.querySelectorAll("figure")];
  const media = figures.map((figure) => figure.querySelector("img, video"));
  const picks = { left: box.querySelector("[data-side=left]"), right: box.querySelector("[data-side=right]") };
  const zoomButtons = [...box.querySelectorAll("[data-zoom]")];
  const ZOOMS = zoomButtons.map((button) => (button.dataset.zoom === "fit" ? 1 : Number(button.dataset.zoom)));
  const MOST = ZOOMS[ZOOMS.length - 1];
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const view = { at: 50, zoom: 1, x: 0, y: 0 };

  // ---- What is seen: divider in per cent of the stage; x and y in CSS pixels.

  function paint() {
    const { width, height } = stage.getBoundingClientRect();
    view.x = clamp(view.x, width * (1 - view.zoom), 0);
    view.y = clamp(view.y, height * (1 - view.zoom), 0);
    stage.style.setProperty("--at", view.at + "%");
    stage.style.setProperty("--zoom", view.zoom);
    stage.style.setProperty("--x", view.x + "px");
    stage.style.setProperty("--y", view.y + "px");
    stage.classList.toggle("zoomed", view.zoom > 1);
    const widest = Math.max(...media.map((item) => item.naturalWidth || item.videoWidth || 1));
    // Past two screen pixels for each of the picture's, smoothing would show what is not there.
    stage.classList.toggle("pixels", (width * view.zoom * devicePixelRatio) / widest >= 2);
    zoomButtons.forEach((button, index) => button.setAttribute("aria-pressed", String(ZOOMS[index] === view.zoom)));
    range.value = Math.round(view.at);
    const [left, right] = ["left", "right"].map((side) => picks[side].selectedOptions[0].text);
    const share = Math.round(view.at);
    range.setAttribute("aria-valuetext", `${share} % ${left}, ${100 - share} % ${right}`);
  }

  function choose() {
    figures.forEach((figure, index) => {
      const at = ["left", "right"].find((side) => Number(picks[side].value) === index);
      if (at) figure.dataset.at = at;
      else delete figure.dataset.at;
    });
    paint();
    stage.dispatchEvent(new Event("chosen"));
  }

  function pick(side) {
    const other = side === "left" ? "right" : "left";
    // A picture is never compared with itself: the other side takes the one just left.
    if (picks[side].value === picks[other].value) picks[other].value = picks[side].dataset.last;
    remember();
    choose();
  }

  function remember() {
    for (const side of ["left", "right"]) picks[side].dataset.last = picks[side].value;
  }

  function swap() {
    [picks.left.value, picks.right.value] = [picks.right.value, picks.left.value];
    remember();
    choose();
  }

  function zoomTo(zoom, clientX, clientY) {
    const edge = stage.getBoundingClientRect();
    const px = clientX === undefined ? edge.width / 2 : clientX - edge.left;
    const py = clientY === undefined ? edge.height / 2 : clientY - edge.top;
    const next = clamp(zoom, 1, MOST);
    view.x = px - ((px - view.x) * next) / view.zoom;
    view.y = py - ((py - view.y) * next) / view.zoom;
    view.zoom = next;
    paint();
  }

  // ---- Pointer: the divider always moves the cut; the picture moves the cut too until it is enlarged.

  const held = { divider: false, picture: false, x: 0, y: 0 };

  function cutAt(clientX) {
    const edge = stage.getBoundingClientRect();
    view.at = clamp(((clientX - edge.left) / edge.width) * 100, 0, 100);
    paint();
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held.divider = view.zoom === 1 || divider.contains(event.target);
    held.picture = !held.divider;
    held.x = event.clientX - view.x;
    held.y = event.clientY - view.y;
    stage.classList.toggle("moving", held.picture);
    stage.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true, focusVisible: false });
    if (held.divider) cutAt(event.clientX);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (held.divider) cutAt(event.clientX);
    if (held.picture) {
      view.x = event.clientX - held.x;
      view.y = event.clientY - held.y;
      paint();
    }
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    stage.addEventListener(end, () => {
      held.divider = held.picture = false;
      stage.classList.remove("moving");
    });
  }
  stage.addEventListener("dblclick", (event) => zoomTo(view.zoom > 1 ? 1 : 4, event.clientX, event.clientY));
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      zoomTo(view.zoom * Math.exp(-event.deltaY * 0.004), event.clientX, event.clientY);
    },
    { passive: false },
  );

  // ---- Keyboard: the divider is a real slider, so arrows, Home, End and Page keys come with it.

  const PAN = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  range.addEventListener("input", () => {
    view.at = Number(range.value);
    paint();
  });
  range.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoomTo(ZOOMS.find((zoom) => zoom > view.zoom) ?? MOST);
    else if (event.key === "-") zoomTo(ZOOMS.findLast((zoom) => zoom < view.zoom) ?? 1);
    else if (event.key === "0") zoomTo(1);
    else if (event.shiftKey && PAN[event.key]) {
      view.x += PAN[event.key][0] * 60;
      view.y += PAN[event.key][1] * 60;
      paint();
    } else return;
    event.preventDefault();
  });

  // ---- Clips: all follow the one on the left, frame by frame.

  function player() {
    const bar = box.querySelector(".player");
    const seek = bar.querySelector(".seek");
    const shown = bar.querySelector("output");
    const frames = Number(seek.max) + 1;
    const frameSeconds = 1 / Number(box.dataset.fps);
    const leader = () => media[Number(picks.left.value)];
    const follower = () => media[Number(picks.right.value)];
    const frameOf = (seconds) => clamp(Math.floor(seconds / frameSeconds + 0.01), 0, frames - 1);
    const middleOf = (frame) => (frame + 0.5) * frameSeconds; // never on the edge between two frames

    const list = document.querySelector(".frames");
    const charts = list ? [...list.querySelectorAll("svg.chart")].map(plot) : [];
    const worst = list ? [...list.querySelectorAll("[data-frame]")] : [];

    // A curve knows its own scale; its playhead shows the frame that is seen.
    function plot(svg) {
      const scale = Object.fromEntries(Object.entries(svg.dataset).map(([key, value]) => [key, Number(value)]));
      const head = document.createElementNS(svg.namespaceURI, "line");
      head.setAttribute("class", "playhead");
      head.setAttribute("y1", scale.top);
      head.setAttribute("y2", scale.bottom);
      svg.append(head);
      const share = (scale.right - scale.left) / (scale.high - scale.low);
      svg.addEventListener("click", (event) => {
        const edge = svg.getBoundingClientRect();
        const x = ((event.clientX - edge.left) / edge.width) * svg.viewBox.baseVal.width;
        show(clamp(Math.round(scale.low + (x - scale.left) / share) - 1, 0, frames - 1));
      });
      return (frame) => {
        const x = scale.left + (frame + 1 - scale.low) * share;
        head.setAttribute("x1", x);
        head.setAttribute("x2", x);
      };
    }
    function tell(frame) {
      seek.value = frame;
      shown.textContent = `${frame + 1} / ${frames}`;
      for (const point of charts) point(frame);
      for (const button of worst) button.setAttribute("aria-current", String(Number(button.dataset.frame) === frame));
    }
    function show(frame) {
      pause();
      const target = (frame + frames) % frames;
      for (const clip of media) clip.currentTime = middleOf(target);
      tell(target);
    }
    function play() {
      follower().currentTime = leader().currentTime;
      leader().play();
      follower().play();
      bar.classList.add("playing");
      bar.querySelector("[data-act=play]").setAttribute("aria-label", "Pause");
      requestAnimationFrame(follow);
    }
    function pause() {
      for (const clip of media) clip.pause();
      bar.classList.remove("playing");
      bar.querySelector("[data-act=play]").setAttribute("aria-label", "Play");
    }
    function follow() {
      if (!bar.classList.contains("playing")) return;
      const late = leader().currentTime - follower().currentTime;
      // A little off: run faster or slower, which is not seen. Far off, as when one has looped: jump.
      if (Math.abs(late) > 3 * frameSeconds) follower().currentTime = leader().currentTime;
      follower().playbackRate = Math.abs(late) > frameSeconds / 4 ? clamp(1 + late * 4, 0.8, 1.25) : 1;
      tell(frameOf(leader().currentTime));
      requestAnimationFrame(follow);
    }
    const toggle = () => (bar.classList.contains("playing") ? pause() : play());
    const step = (by) => show(Number(seek.value) + by);

    bar.querySelector("[data-act=play]").addEventListener("click", toggle);
    bar.querySelector("[data-act=back]").addEventListener("click", () => step(-1));
    bar.querySelector("[data-act=forth]").addEventListener("click", () => step(1));
    seek.addEventListener("input", () => show(Number(seek.value)));
    for (const button of worst) button.addEventListener("click", () => show(Number(button.dataset.frame)));
    if (list) {
      list.classList.add("live-frames");
      list.querySelector(".note").hidden = false;
    }
    range.addEventListener("keydown", (event) => {
      const act = { " ": toggle, ",": () => step(-1), ".": () => step(1) }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      act();
      event.preventDefault();
    });
    stage.addEventListener("chosen", () => {
      const playing = bar.classList.contains("playing");
      const frame = Number(seek.value);
      show(frame);
      if (playing) play();
    });
    bar.hidden = false;
    show(0);
  }

  // ---- Start

  for (const side of ["left", "right"]) picks[side].addEventListener("change", () => pick(side));
  box.querySelector("[data-act=swap]").addEventListener("click", swap);
  zoomButtons.forEach((button, index) => button.addEventListener("click", () => zoomTo(ZOOMS[index])));
  addEventListener("resize", paint);
  for (const item of box.querySelectorAll(".toolbar, .hint, .stage > input, .divider")) item.hidden = false;
  stage.classList.add("live");
  remember();
  choose();
  if (box.dataset.kind === "clip") player();
}
