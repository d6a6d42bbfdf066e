// What each kind of step does, forward and backward, in a formula and a sentence or two.

const TEXTS = {
  images: {
    forward: {
      formula: "y on device 0 = y on device 1 = x",
      says: "The picture, less the mean image of the training set, one map per color. Both devices get a copy of it.",
    },
    backward: {
      formula: "dx = dy from device 0 + dy from device 1",
      says: "The end of the way back. The picture was copied, so its cotangent is the sum over the copies: how the "
          + "loss would change with each color of each pixel.",
    },
  },
  conv: {
    forward: {
      formula: "y[k,p,q] = b[k] + Σ w[k,c,r,s] · x[c, p·stride + r − padding, q·stride + s − padding]",
      says: "Each filter slides over the maps below and gives one map. A unit is a window's numbers times the "
          + "filter's, added up, plus a bias. Blue maps answer to their filter, orange ones to its opposite.",
    },
    backward: {
      formula: "dx[c,h,v] = Σ w[k,c,r,s] · dy[k,p,q] over all windows (p, q) that cover (h, v)",
      says: "A pixel below went into every window that covers it, so it collects a cotangent from each of them: col2im "
          + "adds them up with +=. What each window sends is the filters times their cotangents.",
    },
  },
  relu: {
    forward: {
      formula: "y = max(x, 0)",
      says: "What is below 0 becomes 0, the rest stays. White maps are units that are off for this picture.",
    },
    backward: {
      formula: "dx = dy where y > 0, else 0",
      says: "A gate: where the unit was on, the cotangent passes unchanged; where it was off, it stops here.",
    },
  },
  lrn: {
    forward: {
      formula: "y[i] = x[i] · s[i]^−β,   s[i] = k + α/n · Σ x[j]² over the n maps around i",
      says: "Local response normalization: each number is damped by the energy of the maps beside it, at the same "
          + "pixel.",
    },
    backward: {
      formula: "dx[i] = dy[i] · s[i]^−β − 2αβ/n · x[i] · Σ dy[j] · x[j] · s[j]^(−β−1)",
      says: "Two ways to the loss: through its own y, and through the sums s of all neighbors that it helped to damp.",
    },
  },
  pool: {
    forward: {
      formula: "y[p,q] = the largest x in window (p, q)",
      says: "Max-pooling: each window passes on its largest number. The windows are 3 wide and 2 apart: they overlap.",
    },
    backward: {
      formula: "dx[h,v] = Σ dy[p,q] over the windows that (h, v) has won",
      says: "Only the winner of a window can change its maximum, so it gets the whole cotangent, the others 0. "
          + "Where windows overlap, a pixel may win several: += again.",
    },
  },
  flatten: {
    forward: {formula: "y[c·H·W + h·W + v] = x[c,h,v]", says: "The maps, row after row, become one long vector."},
    backward: {formula: "dx[c,h,v] = dy[c·H·W + h·W + v]", says: "The vector of cotangents is cut into maps again."},
  },
  fc: {
    forward: {
      formula: "y[k] = b[k] + Σ w[k,c] · x[c]",
      says: "Fully connected: each unit is a sum over all numbers below, each with a weight of its own.",
    },
    backward: {
      formula: "dx[c] = Σ w[k,c] · dy[k]",
      says: "Each number below went into every unit, so it collects a cotangent from each, by the same weights.",
    },
  },
  dropout: {
    forward: {
      formula: "training: y = x · m,   m = 0 or 1 / (1 − p)",
      says: "The picture is judged in evaluation, where dropout lets all units pass. In training it switches off a "
          + "random half of them; the unit on the right shows one such draw.",
    },
    backward: {
      formula: "training: dx = dy · m, the same m",
      says: "Backward uses the same mask: a unit that was switched off had no part in the loss, and gets no cotangent.",
    },
  },
  all_gather: {
    forward: {
      formula: "y on every device = [x of device 0 | x of device 1]",
      says: "The columns meet: each device gets the other's maps, and the next layer sees all of them.",
    },
    backward: {
      formula: "dx of device d = part d of dy from device 0 + part d of dy from device 1",
      says: "Both devices used these numbers, so their cotangents come back from both, and are added.",
    },
  },
  gather: {
    forward: {formula: "y = [x of device 0 | x of device 1]", says: "All units come together on the first device."},
    backward: {formula: "dx of device d = part d of dy", says: "Each device gets back the part that is its own."},
  },
  loss: {
    forward: {
      formula: "p[c] = e^x[c] / Σ e^x[j],   L = −log p[t]",
      says: "Softmax turns the logits into probabilities. The loss is −log of the one of the chosen class t.",
    },
    backward: {
      formula: "dx[c] = p[c] − [c = t]",
      says: "The way back begins: what the network said, minus what was asked for. Negative for the chosen class: a "
          + "larger logit would make the loss smaller.",
    },
  },
};
