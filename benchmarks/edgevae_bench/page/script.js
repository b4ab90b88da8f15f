"use strict";
// The page is whole without this; it adds the slider, one frame at a time, and tips.

for (const stage of document.querySelectorAll(".stage")) {
  const slider = stage.querySelector("input");
  const move = () => {
    stage.style.setProperty("--split", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} percent source`);
  };
  slider.addEventListener("input", move);
  move();
}

for (const viewer of document.querySelectorAll(".viewer")) {
  const choose = () => {
    const chosen = Number(viewer.querySelector("[name=frame]:checked").value);
    viewer.querySelectorAll(".frame").forEach((frame, index) => { frame.hidden = index !== chosen; });
  };
  viewer.addEventListener("change", choose);
  choose();
}

// A <title> in a drawing becomes a tip that also shows where a finger taps.
const tip = document.querySelector(".tip");
for (const title of document.querySelectorAll(".chart title")) {
  title.parentElement.dataset.tip = title.textContent;
  title.remove();
}
const show = (event) => {
  const mark = event.target.closest?.("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, event.clientY - tip.offsetHeight - 12)}px`;
};
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
