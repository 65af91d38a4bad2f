-- sysdigdocker, treating the file as a live capture, in which it handles an unavailable server
-- differently.

sysdig.is_live = function()
	return true
end
dofile(os.getenv("SYSDIG_CHISEL_DIR") .. "/sysdigdocker.lua")
