package cli

// nearest returns the name that is so near to s that it is probably what was
// meant, or "".
func nearest(s string, names []string) string {
	best, at := "", len(s)/3+2
	for _, n := range names {
		if d := distance(s, n); d < at {
			best, at = n, d
		}
	}
	return best
}

// distance is how many characters must be put in, left out, replaced, or swapped
// with their neighbour to get from a to b. An underscore is as good as a dash.
func distance(a, b string) int {
	var before, last, row []int
	last = make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := last[j-1]
			if a[i-1] != b[j-1] && (a[i-1] != '_' || b[j-1] != '-') {
				d++
			}
			d = min(d, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
		}
		before, last = last, row
	}
	return last[len(b)]
}
