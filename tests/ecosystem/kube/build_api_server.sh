#!/bin/sh
# Builds kube-apiserver and kube-controller-manager from Debian's source package into the folder
# that is named: no package holds them ready. `make test-kube` calls it.
#
# It needs Debian 12 or newer, about 4 GB of disk while it builds, and some minutes.
# The lists of source packages go into the folder too: the machine's own are left alone.
set -eu

GO=/usr/lib/go-1.19/bin/go
REFLECT=/usr/share/gocode/src/github.com/modern-go/reflect2
# another mirror: DEBIAN_MIRROR=... make test-kube
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# the release that has the source that these tests were written for
SUITE=bookworm

folder=$1
if [ ! -x "$GO" ] || [ ! -d "$REFLECT" ] || ! command -v etcd >/dev/null; then
	echo "needs: apt-get install golang-1.19-go golang-github-modern-go-reflect2-dev etcd-server" >&2
	exit 1
fi

rm -rf "$folder/source"
mkdir -p "$folder/apt/lists/partial" "$folder/source"
cd "$folder"
folder=$PWD
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR $SUITE main" \
	> apt/sources.list

from_debian() {
	apt-get -qq -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$folder/apt/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= \
		-o APT::Sandbox::User=root "$@"
}

from_debian update
(cd source && from_debian source kubernetes)
# Debian builds it in the old way, without modules: its vendored tree is not quite what go.mod says
mkdir -p source/go/src/k8s.io
mv source/kubernetes-*/ source/go/src/k8s.io/kubernetes
cd source/go/src/k8s.io/kubernetes

# the vendored reflect2 crashes under Go 1.18 and newer, on the first custom resource
rm -rf vendor/github.com/modern-go/reflect2
cp -r "$REFLECT" vendor/github.com/modern-go/reflect2
# ... and its validation takes each empty text for null, as Go 1.16 and newer compare them
sed -i 's/data == nil || reflect\.DeepEqual(.*)) {$/data == nil {/' \
	vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go

export GO111MODULE=off GOPATH="$folder/source/go" GOCACHE="$folder/cache" CGO_ENABLED=0

# the description of its API is the one source file that is generated and not in the package
"$GO" build -o "$folder/source/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
described=$(grep -rlE --include='*.go' --exclude='*_test.go' '^ *// \+k8s:openapi-gen=' \
	pkg vendor/k8s.io/*/ | grep -vE 'code-generator/|sample-apiserver/|kube-openapi/' |
	xargs -n1 dirname | sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -sd,)
PATH="$(dirname "$GO"):$PATH" "$folder/source/openapi-gen" --input-dirs "$described" \
	--go-header-file hack/boilerplate/boilerplate.generatego.txt --output-base "$GOPATH/src" \
	--output-package k8s.io/kubernetes/pkg/generated/openapi \
	--output-file-base zz_generated.openapi --report-filename /dev/null

for each in kube-apiserver kube-controller-manager; do
	"$GO" build -ldflags '-s -w' -o "$folder/$each" "./cmd/$each"
done
cd "$folder"
rm -rf source apt cache
