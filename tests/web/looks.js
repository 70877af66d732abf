// What a page looks like, for a test: put into the page as `looks`.

window.looks = {
  /** Whether the focus on this element has an outline. */
  showsFocus(element) {
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
  },

  /** Relative luminance of what is behind the page, by WCAG: 0 is black. */
  background() {
    return luminance(behind(document.body));
  },

  /** Each text on the page with its contrast by WCAG. */
  contrasts() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const { textContent, parentElement } = walker.currentNode;
      if (!textContent.trim() || !parentElement.checkVisibility()) continue;
      const front = over(colour(getComputedStyle(parentElement).color), behind(parentElement));
      const [dark, light] = [luminance(front), luminance(behind(parentElement))].sort((a, b) => a - b);
      found.push([textContent.trim().slice(0, 40), (light + 0.05) / (dark + 0.05)]);
    }
    return found;
  },
};

const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

/** Red, green, blue and opacity, each from 0 to 1, of whatever CSS calls a colour. */
function colour(css) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = css;
  pixel.fillRect(0, 0, 1, 1);
  return [...pixel.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
}

function over([red, green, blue, opacity], below) {
  return [red, green, blue].map((value, at) => value * opacity + below[at] * (1 - opacity));
}

/** The opaque colour that an element stands on; the root's own is drawn on the canvas of the scheme. */
function behind(element) {
  if (element === null) return colour("Canvas").slice(0, 3);
  const own = colour(getComputedStyle(element).backgroundColor);
  return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
}

function luminance(rgb) {
  const [red, green, blue] = rgb.map((value) =>
    value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
