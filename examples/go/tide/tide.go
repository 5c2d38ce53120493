// Package tide knows when the water is high.
package tide

import "time"

// period is the mean time between two high waters.
const period = 12*time.Hour + 25*time.Minute

// Next is the first high water after now, given one that is known.
func Next(known, now time.Time) time.Time {
	if now.Before(known) {
		return known
	}
	passed := now.Sub(known) / period
	return known.Add((passed + 1) * period)
}
